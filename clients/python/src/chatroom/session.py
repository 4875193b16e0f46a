"""What all parts of the replica stand on: topics, the own actions in order, and the session's numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .change import LIMITS, Value
from .code import Rejected
from .mirror import Mirror
from .news import Settled, Told
from .transform import Change
from .undo import Direction, History

Message = dict[str, Any]
Maker = Callable[[str, "Value | None"], Change]
"""Makes a change from a topic's type and value, for a position that counts from the end."""

ENVELOPE_BYTES = 256
PART_BYTES = 64


@dataclass
class Pending:
    """An own action that has no outcome yet. Its changes are with their topics."""

    id: int
    topics: list[str]
    taken_from: Direction | None = None
    tracked: bool = False
    group: int | None = None
    at_ms: int = 0
    # The topics that it named when it was sent, in that order; None if it never was.
    named: list[str] | None = None
    # What its message has at most, in bytes.
    size: int = 0
    # The actions that joined it and have its outcome (M48).
    joined: list[int] = field(default_factory=list)


@dataclass
class Waiting:
    """An action that waits for a topic to be loaded."""

    id: int
    parts: list[tuple[str, Change | Maker]]
    tracked: bool
    group: int | None
    now_ms: int


class Session:
    """The state that commits, own actions, pushes, undo and subscriptions share."""

    def __init__(self) -> None:
        self.client: int | None = None
        self.online = False
        self.session: dict[str, Any] | None = None
        self.limits: dict[str, int] = {**LIMITS, "action_changes": 1000, "push_actions": 256, "message_bytes": 1 << 20}
        self.mirrors: dict[str, Mirror] = {}
        # What the application decided of topics that it may make.
        self.options: dict[str, dict[str, Any]] = {}
        self.history = History()
        self.told: list[Told] = []
        self.settled: list[Settled] = []
        self.statuses: list[str] = []
        self.gaps: list[str] = []
        self._actions: deque[Pending] = deque()
        self._sent = 0
        self._acknowledged = 0
        self._waiting: list[Waiting] = []
        self._next_action = 0
        self._resuming: set[str] | None = None
        self._unreadable: list[str] = []

    @property
    def me(self) -> int:
        """This client's id, or the server's before it is known."""
        return self.client or 0

    def _options_of(self, name: str) -> Message:
        return {"options": self.options[name]} if name in self.options else {}

    @property
    def is_resuming(self) -> bool:
        """Whether what was missed is still being put in place."""
        return self._resuming is not None

    @property
    def unsaved(self) -> int:
        """How many own actions have no outcome yet."""
        return len(self._actions) + sum(len(action.joined) for action in self._actions) + len(self._waiting)

    def _tell(self, name: str, cause: str, changes: list[Change], by: int) -> None:
        mirror = self.mirrors[name]
        if not changes:
            return
        if mirror.resuming is not None:
            mirror.resuming.changes.extend(changes)
            mirror.resuming.by = by
            return
        self.told.append(Told(name, cause, changes, mirror.position, by))

    def _doubt(self, name: str, why: str) -> None:
        self.mirrors[name].doubted = True
        self.gaps.append(f"{name}: {why}")

    def _settle(
        self, action: Pending, sequence: int = 0, effect: bool = True, rejected: Rejected | None = None
    ) -> None:
        """An action, and those that joined it, have their outcome."""
        for number in (action.id, *action.joined):
            self.settled.append(Settled(number, sequence, effect, rejected))

    def _last_undo(self) -> tuple[Direction, int] | None:
        last = None
        for action in self._actions:
            if action.taken_from is None:
                break
            last = (action.taken_from, action.id)
        return last

    def _number(self) -> int:
        self._next_action += 1
        return self._next_action
