"""One topic as this client sees it: the confirmed value with the own pending changes on top.

Only the value with the changes on top is held. Each pending change keeps its exact way back, so a
commit of somebody else steps back, is applied, and the pending changes go forward again (M40 to M44).
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from .change import Value
from .code import ChatroomError
from .text import Text
from .transform import Change, carry
from .value import canonical, equal

Status = Literal["loading", "live", "stale", "denied", "removed"]
Wire = Literal["absent", "asked", "live", "refused", "gone"]


@dataclass
class Own:
    """An own change that has no outcome yet."""

    action: int
    part: int
    change: Change | None
    back: Change | None = None
    applied: bool = False
    # A snapshot came over it: what it is now is known to the server alone.
    lost: bool = False


@dataclass
class Resuming:
    """What is told when everything that was missed is in place."""

    before: Any
    changes: list[Change] = field(default_factory=list)
    replaced: bool = False
    by: int = 0


@dataclass
class Mirror:
    """A topic that is held, or that own changes are on their way to."""

    kind: str | None = None
    declared: str | None = None
    wanted: bool = False
    wire: Wire = "absent"
    asked_as: str | None = None
    status: Status = "loading"
    error: ChatroomError | None = None
    # Whether the value has to be asked for again, now or when nothing lost is on its way.
    doubted: bool = False
    clouded: bool = False
    # Whether value and position are those of a session that is no more.
    outdated: bool = False
    value: Value | None = None
    position: int = 0
    own: deque[Own] = field(default_factory=deque)
    resuming: Resuming | None = None

    @property
    def follows(self) -> bool:
        return self.wire == "live" and not self.doubted and self.value is not None

    @property
    def positional(self) -> bool:
        return self.kind in ("string", "list")

    def rewind(self, start: int = 0) -> None:
        """Steps back from own changes, down to the one at ``start``."""
        if self.value is None:
            return
        for own in reversed(list(self.own)[start:]):
            own.applied = False
            if own.back is not None:
                self.value.apply(own.back)
                own.back = None

    def replay(self, start: int = 0) -> None:
        """Goes forward again; a change that cannot be applied now is left out for now."""
        if self.value is None:
            return
        for own in list(self.own)[start:]:
            if own.change is None or own.lost:
                continue
            try:
                own.back = self.value.apply(own.change)
                own.applied = True
            except ChatroomError:
                own.back = None

    def confirmed(self) -> Any:
        """The confirmed value, as a snapshot shows it."""
        if self.value is None:
            return None
        if all(own.back is None for own in self.own):
            return self.value.show()
        data = self.value.data
        confirmed = Value(self.value.kind, data.copy() if isinstance(data, Text | list | dict) else data)
        for own in reversed(self.own):
            if own.back is not None:
                confirmed.apply(own.back)
        return confirmed.show()

    def carry(
        self, changes: list[Change], start: int = 0, undos: int | None = None
    ) -> tuple[list[Change], list[Change]]:
        """Puts changes below the own ones from ``start`` on; returns what they are behind all of them, and
        behind the own ones of actions up to ``undos``."""
        carried, behind_undos = changes, None
        for place, own in enumerate(self.own):
            if place < start:
                continue
            if behind_undos is None and (undos is None or own.action > undos):
                behind_undos = carried
            if own.change is not None and not own.lost:
                own.change, carried = carry(self.kind or "generic", own.change, carried)
        return carried, carried if behind_undos is None else behind_undos

    def before(self, changes: list[Change]) -> tuple[set[str] | None, Any] | None:
        """What ``changes``, and the own changes they meet, are about to touch; ``None`` where what is carried
        is exact in any case."""
        if self.value is None or not self.own or self.kind in ("string", "list", "event", "presence"):
            return None
        keys: set[str] | None = set()
        for change in [*changes, *(own.change for own in self.own if own.change is not None)]:
            key = _touched(self.kind or "", change)
            keys = None if key is None or keys is None else keys | {key}
        return keys, copy.deepcopy(_part_of(self.value.data, keys))

    def since(self, before: tuple[set[str] | None, Any] | None, carried: list[Change]) -> list[Change]:
        """What leads from the value before to the value now: what was carried, if that does."""
        if before is None or self.value is None:
            return carried
        keys, old = before
        new = _part_of(self.value.data, keys)
        return carried if _leads(self.value.kind, old, carried, new) else _difference(self.value.kind, old, new)

    def leads(self, before: Any, changes: list[Change]) -> bool:
        """Whether changes lead from an earlier value to this one."""
        return self.value is not None and _leads(self.value.kind, before, changes, self.value.data)


def _touched(kind: str, change: Change) -> str | None:
    if kind == "dict":
        return change.get("key")
    if kind == "set" and change["type"] != "set":
        return canonical(change["item"])
    return None


def _part_of(data: Any, keys: set[str] | None) -> Any:
    if keys is None or not isinstance(data, dict):
        return data
    return {key: data[key] for key in keys if key in data}


def _leads(kind: str, old: Any, changes: list[Change], new: Any) -> bool:
    value = Value(kind, old.copy() if isinstance(old, Text | list | dict) else old)
    try:
        for change in changes:
            value.apply(change)
    except ChatroomError:
        return False
    return value.data == new if isinstance(new, Text) else equal(value.data, new)


def _difference(kind: str, old: Any, new: Any) -> list[Change]:
    if equal(old, new):
        return []
    if kind == "dict":
        changes: list[Change] = []
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                changes.append({"type": "pop", "key": key})
            elif key not in old or not equal(old[key], new[key]):
                changes.append({"type": "put", "key": key, "value": new[key]})
        return changes
    if kind == "set":
        gone = [{"type": "remove", "item": old[key]} for key in sorted(old.keys() - new.keys())]
        return gone + [{"type": "append", "item": new[key]} for key in sorted(new.keys() - old.keys())]
    return [{"type": "set", "value": new}]
