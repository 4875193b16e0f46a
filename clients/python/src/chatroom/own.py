"""Own actions as they are made: checked, shown at once, and joined to what was not sent yet (M41, M48)."""

from __future__ import annotations

from collections.abc import Sequence

from .change import decode
from .code import ChatroomError, Rejected
from .mirror import Mirror, Own
from .news import Settled
from .session import ENVELOPE_BYTES, PART_BYTES, Maker, Pending, Session, Waiting
from .transform import Change, components_of, compose_edits
from .undo import GROUP_MS
from .value import bytes_of

PENDING_MAX = 10_000
# So many components a joined edit has at most; each further keystroke walks over them.
JOINED_COMPONENTS_MAX = 256
# What it costs at most that one component cuts another in two.
CUT_BYTES = 64


class Making(Session):
    """Makes actions."""

    def act(
        self,
        parts: Sequence[tuple[str, Change | Maker]],
        *,
        now_ms: int,
        tracked: bool = True,
        group: int | None = None,
    ) -> int:
        """Makes an action: shown at once, sent as soon as may be (M41); returns its number here."""
        if not parts:
            raise ChatroomError("bad_type", "an action has at least one change")
        most = self.limits["action_changes"]
        if len(parts) > most:
            raise ChatroomError("too_big", f"an action has at most {most} changes, this one has {len(parts)}")
        if len(self._actions) + len(self._waiting) >= PENDING_MAX:
            raise ChatroomError("busy", f"{PENDING_MAX} actions wait for their outcome already")
        number = self._next_action + 1
        waiting = Waiting(number, list(parts), tracked, group, now_ms)
        if self._has_to_wait(waiting):
            self._waiting.append(waiting)
        else:
            self._perform(waiting)
        self._next_action = number
        return number

    def _has_to_wait(self, waiting: Waiting) -> bool:
        for name, change in waiting.parts:
            mirror = self.mirrors.get(name)
            if mirror is not None and mirror.status in ("denied", "removed"):
                continue
            blind = not callable(change) and _is_blind(mirror.kind if mirror else None, change)
            if (mirror is None or mirror.value is None) and not blind:
                return True
            if any(name == other for before in self._waiting if before is not waiting for other, _ in before.parts):
                return True
        return False

    def _settle_waiting(self) -> None:
        before, self._waiting = self._waiting, []
        for waiting in before:
            if self._has_to_wait(waiting):
                self._waiting.append(waiting)
                continue
            try:
                self._perform(waiting)
            except ChatroomError as error:
                rejected = error if isinstance(error, Rejected) else Rejected(error.code, error.reason)
                self.settled.append(Settled(waiting.id, rejected=rejected))

    def _perform(self, waiting: Waiting) -> None:
        shown: dict[str, list[Change]] = {}
        size = ENVELOPE_BYTES
        try:
            for part, (name, intent) in enumerate(waiting.parts):
                mirror = self.mirrors.setdefault(name, Mirror())
                shown.setdefault(name, [])
                if mirror.error is not None and mirror.status in ("denied", "removed"):
                    raise mirror.error
                change = intent(mirror.kind or "", mirror.value) if callable(intent) else intent
                if mirror.kind is not None:
                    change = decode(mirror.kind, change, by=self.me, limits=self.limits)
                    if mirror.kind == "string" and change["type"] in ("insert", "delete"):
                        raise ChatroomError("unknown_change", "insert and delete are edits here")
                size += len(name) + PART_BYTES + bytes_of(change)
                if size > self.limits["message_bytes"]:
                    raise ChatroomError("too_big", "the action is larger than a message may be")
                own = Own(waiting.id, part, change)
                if mirror.value is not None:
                    own.back, own.applied = mirror.value.apply(change, self.limits), True
                    if own.back is not None:
                        shown[name].append(change)
                mirror.own.append(own)
        except ChatroomError:
            for name in shown:
                mirror = self.mirrors[name]
                keep = sum(own.action < waiting.id for own in mirror.own)
                mirror.rewind(keep)
                while len(mirror.own) > keep:
                    mirror.own.pop()
            raise
        for name, changes in shown.items():
            if not waiting.tracked:
                self.history.shift_ahead(name, self.mirrors[name].kind or "", changes)
            self._tell(name, "local", changes, self.me)
        if waiting.tracked:
            self.history.acted()
        action = Pending(waiting.id, list(shown), None, waiting.tracked, waiting.group, waiting.now_ms, size=size)
        if not self._join(action):
            self._actions.append(action)

    def _join(self, action: Pending) -> bool:
        """Joins an edit to the youngest action, if that is an edit of the same text that was never sent (M48)."""
        youngest = self._actions[-1] if len(self._actions) > self._sent else None
        if youngest is None or youngest.named is not None or youngest.taken_from is not None or self.history.asked:
            return False
        if youngest.topics != action.topics or len(action.topics) != 1:
            return False
        if (youngest.tracked, youngest.group) != (action.tracked, action.group):
            return False
        if action.group is None and action.at_ms - youngest.at_ms > GROUP_MS:
            return False
        name = action.topics[0]
        mirror = self.mirrors[name]
        if mirror.kind != "string" or len(mirror.own) < 2:
            return False
        before, last = mirror.own[-2], mirror.own[-1]
        alone = len(mirror.own) < 3 or mirror.own[-3].action != before.action
        if not alone or last.action != action.id or before.action != youngest.id or before.lost:
            return False
        edits = [before.change, last.change, last.back, before.back]
        if any(edit is None or edit["type"] != "edit" for edit in edits):
            return False
        change, back = (
            compose_edits(components_of(first or {}), components_of(then or {}))
            for first, then in ((before.change, last.change), (last.back, before.back))
        )
        made: Change = {"type": "edit", "components": change}
        # Writing the joined edit at each keystroke would cost all that was typed: what it has at most will do.
        size = youngest.size + action.size + CUT_BYTES * len(components_of(last.change or {}))
        if size > self.limits["message_bytes"]:
            size = ENVELOPE_BYTES + len(name) + PART_BYTES + bytes_of(made)
        if len(change) > JOINED_COMPONENTS_MAX or size > self.limits["message_bytes"]:
            return False
        mirror.own.pop()
        before.change, before.back = (made, {"type": "edit", "components": back}) if change else (None, None)
        youngest.at_ms, youngest.size = action.at_ms, size
        youngest.joined.append(action.id)
        return True


def _is_blind(kind: str | None, change: Change) -> bool:
    """Whether a change makes sense without knowing the value (M41)."""
    if change["type"] == "add":
        return kind in ("int", "float")
    return change["type"] in ("set", "put", "ensure", "append", "remove", "emit") or kind == "presence"
