"""What the server tells of the past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from .transform import Change


class PastChange(TypedDict):
    """A change of a commit, and the commit before it of its topic."""

    topic_name: str
    change: Change
    previous: int


class PastCommit(TypedDict, total=False):
    """A commit: its place, when it was, its author's client id, and its changes; or a topic that was deleted."""

    sequence: int
    at_ms: int
    by: int
    number: int
    action_id: str | int
    changes: Sequence[PastChange]
    deleted: str


class CommitPage(TypedDict):
    """Commits, the newest first; ``next`` is the ``before`` of the next page, ``None`` behind the last."""

    commits: Sequence[PastCommit]
    next: int | None


__all__ = ["CommitPage", "PastChange", "PastCommit"]
