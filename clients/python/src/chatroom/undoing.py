"""What undo and redo do to the pending actions (M54); what they take back is in ``undo``."""

from __future__ import annotations

from collections import deque

from .code import ChatroomError, Rejected
from .mirror import Own
from .outcome import Outcomes
from .push import Pushes
from .session import Pending
from .transform import Change
from .undo import Direction, Part


class Undoing(Outcomes, Pushes):
    """Makes actions of what can be undone and redone."""

    def undo(self) -> None:
        """Takes back the effect of the last tracked action that still has one (M54)."""
        self._take("undo")

    def redo(self) -> None:
        """Does again what was undone last."""
        self._take("redo")

    def _take(self, direction: Direction) -> None:
        self.history.broken = True
        self.history.asked.append(direction)
        self._go_on_undoing()

    def can(self, direction: Direction) -> bool:
        """Whether there is something to undo, or to redo."""
        for action in self._actions:
            if action.taken_from is not None and action.taken_from != direction:
                return True
            if direction == "undo" and action.taken_from is None and action.tracked:
                return True
        return self.history.has(direction)

    def _go_on_undoing(self) -> None:
        asked = self.history.asked
        while self._resuming is None and asked and self._try_taking(asked[0]):
            if asked:
                asked.popleft()

    def _try_taking(self, direction: Direction) -> bool:
        redo = self.history.stacks["redo"]
        if direction == "redo" and redo and redo[-1].ahead:
            entry = redo.pop()
            if entry.changes:
                action = Pending(self._number(), [], None, True, entry.group, entry.at_ms)
                self._show_taken(action, list(entry.changes))
            return True
        if all(action.taken_from == direction for action in self._actions):
            if direction == "undo" and any(entry.ahead for entry in redo):
                # Its inverse will stand above these: they have to be on the confirmed value.
                if self._actions:
                    return False
                for entry in redo:
                    entry.ahead = False
            taken = self.history.next(direction)
            if taken is not None:
                taken.pending = self._number()
                changes = list(taken.changes)
                taken.changes.clear()
                self._show_taken(Pending(taken.pending, [], direction), changes)
            return True
        if len(self._actions) <= self._sent:
            return False
        youngest = self._actions[-1]
        if youngest.taken_from is not None and youngest.taken_from != direction:
            self._call_back(youngest)
        elif youngest.taken_from is None and youngest.tracked:
            if direction == "undo":
                self._cancel(youngest)
        else:
            return False
        return True

    def _show_taken(self, action: Pending, changes: list[Part]) -> None:
        shown: dict[str, list[Change]] = {}
        for part, (name, _, change) in enumerate(changes):
            mirror = self.mirrors.get(name)
            told = shown.setdefault(name, [])
            if mirror is None:
                continue
            own = Own(action.id, part, change)
            if mirror.value is not None:
                try:
                    own.back, own.applied = mirror.value.apply(change), True
                    if own.back is not None:
                        told.append(change)
                except ChatroomError:
                    pass
            mirror.own.append(own)
        action.topics = list(shown)
        self._actions.append(action)
        for name, told in shown.items():
            self._tell(name, "local", told, self.me)

    def _left_of(self, action: Pending) -> list[Part]:
        changes = sorted(self._changes_of(action), key=lambda change: change[0])
        return [(name, self.mirrors[name].kind or "", change) for _, name, change in changes]

    def _call_back(self, action: Pending) -> None:
        """Takes back an undo or redo that was not sent: its entry can be taken again."""
        left = self._left_of(action)
        self._actions.pop()
        self._take_out(action, "local")
        for entry in self.history.stacks[action.taken_from or "undo"]:
            if entry.pending == action.id:
                entry.pending, entry.changes = None, deque(left)
        self._settle_cancelled(action)

    def _cancel(self, action: Pending) -> None:
        """Takes back an action that was not sent, so that it can be redone."""
        left = self._left_of(action)
        self._actions.pop()
        self._take_out(action, "local")
        self.history.cancelled(left, set(action.topics), action.group, action.at_ms)
        self._settle_cancelled(action)

    def _settle_cancelled(self, action: Pending) -> None:
        rejected = Rejected("cancelled", "it was undone before it was sent", retryable=True)
        self._settle(action, rejected=rejected)
