"""What the application is told: what became of values, and how actions ended."""

from __future__ import annotations

from dataclasses import dataclass

from .code import Rejected
from .transform import Change


@dataclass
class Told:
    """What the functions that follow a topic are told."""

    topic_name: str
    cause: str
    changes: list[Change]
    sequence: int
    by: int


@dataclass
class Settled:
    """The outcome of an action."""

    action: int
    sequence: int = 0
    effect: bool = True
    rejected: Rejected | None = None
