"""Undo and redo of one's own actions: section 6 of ``docs/merging.md``.

Two stacks of entries, each the changes that perform it. What others commit waits with the top entry
and is carried down when somebody undoes, so an undo takes back what is left of an action and nothing
that others wrote since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .transform import Change, transform
from .value import bytes_of

Direction = Literal["undo", "redo"]
Part = tuple[str, str, Change]
"""A topic's name, its type, and a change of it."""

ENTRIES_MAX = 200
BYTES_MAX = 1 << 20
DUE_MAX = 8_192
# Actions within this time are undone together.
GROUP_MS = 500


@dataclass
class Entry:
    """What performs an undo or a redo."""

    changes: deque[Part]
    topics: set[str]
    pending: int | None = None
    # Whether it is defined on the value instead of the confirmed one: it was never sent.
    ahead: bool = False
    group: int | None = None
    at_ms: int = 0
    # Whether somebody else wrote to its topics since.
    sealed: bool = False
    # Whether a tracked action was made while its undo was pending: that cannot be redone then.
    final: bool = False
    size: int = 0
    # Commits that are still to be carried down from here.
    due: list[Part] = field(default_factory=list)


class History:
    """What can be undone and redone."""

    def __init__(self) -> None:
        self.stacks: dict[Direction, list[Entry]] = {"undo": [], "redo": []}
        self.asked: deque[Direction] = deque()
        self.broken = False

    def clear(self) -> None:
        self.stacks = {"undo": [], "redo": []}
        self.asked.clear()

    def acted(self) -> None:
        """A tracked action was made: what was undone before it cannot be redone."""
        # A redo on its way still happens, and can be undone then.
        self.stacks["redo"] = [entry for entry in self.stacks["redo"] if entry.pending is not None]
        for entry in self.stacks["undo"]:
            entry.final = entry.final or entry.pending is not None

    def done(self, topics: set[str], inverse: list[Part], group: int | None, at_ms: int, most: int) -> None:
        """A tracked action was accepted (M51, M53)."""
        if not inverse:
            return
        stack = self.stacks["undo"]
        broken, self.broken = self.broken, False
        top = stack[-1] if stack and stack[-1].pending is None else None
        if top is not None and self._joins(top, topics, group, at_ms, broken):
            # What waits with the entry came before what joins it now.
            _settle(stack, len(stack) - 1)
            kept = [part for part in inverse if not _is_overwritten(part, top.changes)]
            # What would make the entry too large begins another.
            if len(kept) + len(top.changes) <= most:
                top.changes.extendleft(reversed(kept))
                top.size += _size(kept)
                top.topics |= topics
                top.at_ms = at_ms
                self._bound("undo")
                return
        stack.append(Entry(deque(inverse), set(topics), group=group, at_ms=at_ms, size=_size(inverse)))
        self._bound("undo")

    @staticmethod
    def _joins(top: Entry, topics: set[str], group: int | None, at_ms: int, broken: bool) -> bool:
        if group is not None or top.group is not None:
            return group == top.group
        return not broken and not top.sealed and top.topics == topics and at_ms - top.at_ms <= GROUP_MS

    def _bound(self, direction: Direction) -> None:
        stack, size, kept = self.stacks[direction], 0, 0
        for entry in reversed(stack):
            size += entry.size
            if kept == ENTRIES_MAX or size > BYTES_MAX:
                break
            kept += 1
        del stack[: len(stack) - kept]

    def committed(
        self,
        name: str,
        kind: str,
        confirmed: Change,
        behind_undos: list[Change],
        behind_all: list[Change],
        undos: Direction | None,
    ) -> None:
        """A commit of somebody else had an effect (M52)."""
        for direction, stack in self.stacks.items():
            if not any(name in entry.topics for entry in stack):
                continue
            if name in stack[-1].topics:
                stack[-1].sealed = True
            below = behind_undos if direction == undos else [confirmed]
            _walk([entry for entry in reversed(stack) if entry.ahead], name, kind, behind_all)
            _wait_with(stack, _top(stack, pending=False), name, kind, below)

    def shift(self, name: str, kind: str, change: Change) -> None:
        """An own action that undo does not track was accepted."""
        for stack in self.stacks.values():
            _wait_with(stack, _top(stack, pending=True), name, kind, [change])

    def shift_ahead(self, name: str, kind: str, changes: list[Change]) -> None:
        """Something happened to the value alone."""
        _walk([entry for entry in reversed(self.stacks["redo"]) if entry.ahead], name, kind, changes)

    def refused(self, direction: Direction, action: int, name: str, kind: str, back: list[Change]) -> None:
        """A pending undo or redo was refused: what is below its entry does without it."""
        stack = self.stacks[direction]
        place = next((at for at, entry in enumerate(stack) if entry.pending == action), 0)
        _wait_with(stack, place - 1, name, kind, back)

    def remove(self, direction: Direction, action: int) -> Entry | None:
        stack = self.stacks[direction]
        for place, entry in enumerate(stack):
            if entry.pending == action:
                return stack.pop(place)
        return None

    def taken(self, direction: Direction, action: int, topics: set[str], inverse: list[Part]) -> None:
        """A pending undo or redo was accepted (M55)."""
        entry = self.remove(direction, action)
        if entry is None or not inverse or entry.final:
            return
        other: Direction = "redo" if direction == "undo" else "undo"
        again = Entry(
            deque(inverse), set(topics), group=entry.group, at_ms=entry.at_ms, sealed=True, size=_size(inverse)
        )
        self.stacks[other].append(again)
        self._bound(other)

    def cancelled(self, left: list[Part], topics: set[str], group: int | None, at_ms: int) -> None:
        """A tracked action was taken back before it was sent."""
        entry = Entry(deque(left), set(topics), ahead=True, group=group, at_ms=at_ms, sealed=True, size=_size(left))
        self.stacks["redo"].append(entry)
        self._bound("redo")

    def forget(self, name: str) -> None:
        """A topic's history is not known without a gap any more (M56)."""
        if any(name in entry.topics for stack in self.stacks.values() for entry in stack):
            self.clear()

    def next(self, direction: Direction) -> Entry | None:
        """The top entry that is not pending and has something left."""
        stack = self.stacks[direction]
        while (place := _top(stack, pending=False, ahead=True)) >= 0:
            _settle(stack, place)
            if stack[place].changes:
                return stack[place]
            del stack[place]
        return None

    def has(self, direction: Direction) -> bool:
        stack = self.stacks[direction]
        for place in reversed(range(len(stack))):
            _settle(stack, place)
            if stack[place].pending is None and stack[place].changes:
                return True
        return False


def _top(stack: list[Entry], *, pending: bool, ahead: bool = False) -> int:
    for place in reversed(range(len(stack))):
        entry = stack[place]
        if (pending or entry.pending is None) and (ahead or not entry.ahead):
            return place
    return -1


def _wait_with(stack: list[Entry], place: int, name: str, kind: str, changes: Iterable[Change]) -> None:
    if place < 0:
        return
    stack[place].due.extend((name, kind, change) for change in changes)
    if len(stack[place].due) > DUE_MAX:
        _settle(stack, place)


def _settle(stack: list[Entry], place: int) -> None:
    """Carries what waits with an entry over it, to wait with the entry below."""
    entry = stack[place]
    due, entry.due = entry.due, []
    for name, kind, change in due:
        carried = _walk([entry], name, kind, [change])
        _wait_with(stack, place - 1, name, kind, carried)


def _walk(entries: list[Entry], name: str, kind: str, carried: list[Change]) -> list[Change]:
    """Carries changes down entries, the top one first; returns what they are below the last."""
    for entry in entries:
        if not carried:
            break
        if name not in entry.topics or entry.pending is not None:
            continue
        kept: deque[Part] = deque()
        for part in entry.changes:
            if part[0] == name:
                change, carried = _cross(kind, part[2], carried)
                if change is not None:
                    kept.append((name, kind, change))
            else:
                kept.append(part)
        entry.changes = kept
    return carried


def _cross(kind: str, entry: Change, carried: list[Change]) -> tuple[Change | None, list[Change]]:
    """Puts commits below what would take something back: what others wrote since stays."""
    own: Change | None = entry
    behind: list[Change] = []
    for change in carried:
        if own is None:
            behind.append(change)
            continue
        instead = _prevails(kind, change, own)
        if instead is not None:
            behind.append(instead)
            own = None
            continue
        moved = transform(kind, change, own, "later")
        if moved is not None:
            behind.append(moved)
        own = transform(kind, own, change, "first")
    return own, behind


def _prevails(kind: str, change: Change, entry: Change) -> Change | None:
    """Where another's write ends an entry: the write as it is for the entries below."""
    if kind == "dict" and "key" in change and change["key"] == entry.get("key"):
        return change if change["type"] == "pop" else {"type": "put", "key": change["key"], "value": change["value"]}
    same = change.get("position") == entry.get("position")
    if kind == "list" and change["type"] == "set_item" and entry["type"] == "pop" and same:
        return {"type": "insert", "position": change["position"], "item": change["item"]}
    return None


def _is_overwritten(part: Part, following: Iterable[Part]) -> bool:
    """Whether nothing is left of a part once what follows was performed."""
    name, kind, change = part
    if kind == "dict":
        if change["type"] != "change_value":
            return False
    elif change["type"] != "set" or kind not in ("generic", "bool", "int", "float"):
        return False
    return any(
        name == other and change["type"] == later["type"] and change.get("key") == later.get("key")
        for other, _, later in following
    )


def _size(changes: Iterable[Part]) -> int:
    return sum(bytes_of(change) for _, _, change in changes)
