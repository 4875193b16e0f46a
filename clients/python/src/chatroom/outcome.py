"""How own actions end: accepted, altered, refused or lost (M43, M44)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from .code import NAMES, ChatroomError, Rejected
from .invert import invert_with
from .mirror import Mirror
from .session import Message, Pending, Session
from .transform import Change
from .undo import Part


class Outcomes(Session):
    """Takes in what became of actions."""

    def _accepted(self, content: Message) -> None:
        """The room took the oldest pending action (M43)."""
        if content["id"] != self._acknowledged + 1 or not self._actions:
            return
        action = self._actions.popleft()
        self._acknowledged += 1
        self._sent = max(0, self._sent - 1)
        inverse: list[tuple[int, list[Part]]] = []
        effective: list[Part] = []
        given = content.get("changes")
        for name in action.topics:
            mirror = self.mirrors.get(name)
            if mirror is None:
                continue
            if name not in (action.named or ()):
                # Nothing was left of it here when it was sent, so nothing is said of this topic.
                mirror.own = deque(own for own in mirror.own if own.action != action.id)
                continue
            previous = content.get("previous", [])[(action.named or []).index(name)]
            altered = None if given is None else [it["change"] for it in given if it["topic_name"] == name]
            self._accepted_in(action, name, mirror, content["sequence"], previous, altered, inverse, effective)
        back = [part for _, parts in sorted(inverse, key=lambda it: -it[0]) for part in parts]
        if action.taken_from is not None:
            self.history.taken(action.taken_from, action.id, set(action.topics), back)
        elif action.tracked and len(back) <= self.limits["action_changes"]:
            most = self.limits["action_changes"]
            self.history.done(set(action.topics), back, action.group, action.at_ms, most)
        else:
            for name, kind, change in effective:
                self.history.shift(name, kind, change)
        self._settle(action, content["sequence"], content.get("effect", True))

    def _accepted_in(
        self,
        action: Pending,
        name: str,
        mirror: Mirror,
        sequence: int,
        previous: int,
        altered: list[Change] | None,
        inverse: list[tuple[int, list[Part]]],
        effective: list[Part],
    ) -> None:
        kind = mirror.kind or ""
        mine = list(takewhile(lambda own: own.action <= action.id, mirror.own))
        current = mirror.follows and previous <= mirror.position < sequence
        if altered is None and current and all((own.applied or own.change is None) and not own.lost for own in mine):
            # The value has it in the place that the room gave it, and what is behind it stays as it is.
            for own in mine:
                mirror.own.popleft()
                if own.change is not None and own.back is not None:
                    inverse.append((own.part, [(name, kind, it) for it in invert_with(kind, own.change, own.back)]))
                    effective.append((name, kind, own.change))
            mirror.position = sequence
            self._tell(name, "accepted", [own.change for own in mine if own.change and kind == "event"], self.me)
            return
        before = mirror.before(altered or [])
        mirror.rewind()
        told: list[Change] = []
        doubt = None
        if not mirror.follows or sequence <= mirror.position:
            pass
        elif previous > mirror.position:
            # While resuming the value comes anew before the end of what was missed, with this in it.
            if mirror.resuming is None:
                doubt = f"an own change after {previous}, but this client stands at {mirror.position}"
        elif any(own.lost for own in mine):
            mirror.clouded = True
        else:
            instead = None if altered is None else iter(altered)
            try:
                for own in mine:
                    mirror.own.remove(own)
                    if own.change is None:
                        continue
                    change = own.change if instead is None else next(instead, own.change)
                    if change != own.change:
                        # What is behind it goes over its way back, and then over what it became.
                        told += mirror.carry([*self._back_of(mirror, [own.change]), change])[0]
                    elif kind == "event":
                        told.append(change)
                    assert mirror.value is not None
                    back = mirror.value.apply(change)
                    if back is not None:
                        inverse.append((own.part, [(name, kind, it) for it in invert_with(kind, change, back)]))
                        effective.append((name, kind, change))
            except ChatroomError as error:
                doubt = f"an own change that does not apply: {error}"
            mirror.position = sequence
        while mirror.own and mirror.own[0].action <= action.id:
            mirror.own.popleft()
        mirror.replay()
        if mirror.clouded and not any(own.lost for own in mirror.own):
            mirror.clouded = False
            doubt = "own changes were on their way when the value came anew"
        self._tell(name, "accepted", mirror.since(before, told), self.me)
        if doubt is not None:
            self._doubt(name, doubt)

    @staticmethod
    def _back_of(mirror: Mirror, changes: list[Change]) -> list[Change]:
        """The inverse of own changes on a value that was rewound to before them; leaves it as it is."""
        if mirror.value is None:
            return []
        backs: list[Change] = []
        inverse: list[list[Change]] = []
        for change in changes:
            try:
                back = mirror.value.apply(change)
            except ChatroomError:
                continue
            if back is not None:
                inverse.append(invert_with(mirror.kind or "", change, back))
                backs.append(back)
        for back in reversed(backs):
            mirror.value.apply(back)
        return [change for group in reversed(inverse) for change in group]

    def _rejected(self, content: Message) -> None:
        """The room refused the oldest pending action (M44)."""
        if content["action_id"] != self._acknowledged + 1:
            return
        self._acknowledged += 1
        self._sent = 0
        if not self._actions:
            return
        action = self._actions.popleft()
        self._give_up(action)
        code = NAMES.get(content["code"], "unknown")
        rejected = Rejected(
            code,
            content["reason"],
            topic_name=content["topic_name"],
            change=content["change"],
            retryable=content.get("retryable", False),
        )
        self._settle(action, rejected=rejected)

    def _give_up(self, action: Pending) -> None:
        for name, kind, below_undos, below_all in self._take_out(action, "rejected"):
            self.history.shift_ahead(name, kind, below_all)
            if action.taken_from is not None:
                self.history.refused(action.taken_from, action.id, name, kind, below_undos)
        if action.taken_from is not None:
            self.history.remove(action.taken_from, action.id)

    def _take_out(self, action: Pending, cause: str) -> list[tuple[str, str, list[Change], list[Change]]]:
        """Takes an action out of all its topics; returns what that did, behind the pending undos and behind all."""
        backs = []
        undos = self._last_undo()
        for name in action.topics:
            mirror = self.mirrors.get(name)
            if mirror is None:
                continue
            start = sum(own.action < action.id for own in mirror.own)
            before = mirror.before([])
            mirror.rewind(start)
            gone = [own for own in mirror.own if own.action == action.id]
            for own in gone:
                mirror.own.remove(own)
            back = self._back_of(mirror, [own.change for own in gone if own.change is not None and not own.lost])
            told, below_undos = mirror.carry(back, start, undos[1] if undos else None)
            mirror.replay(start)
            if mirror.clouded and not any(own.lost for own in mirror.own):
                mirror.clouded, mirror.doubted = False, True
            backs.append((name, mirror.kind or "", below_undos, told))
            self._tell(name, cause, mirror.since(before, told), self.me)
        return backs

    def _lose(self, lost: Sequence[int], code: str, reason: str, *, maybe_executed: bool = False) -> None:
        outcomes = []
        for number in sorted(set(lost), reverse=True):
            action = next((action for action in self._actions if action.id == number), None)
            if action is None:
                continue
            name, change = self._first_part(action)
            self._actions.remove(action)
            self._give_up(action)
            rejected = Rejected(
                code,
                reason,
                topic_name=name,
                change=change,
                retryable=code == "connection_lost",
                maybe_executed=maybe_executed,
            )
            outcomes.append((action, rejected))
        for action, rejected in reversed(outcomes):
            self._settle(action, rejected=rejected)

    def _first_part(self, action: Pending) -> tuple[str, Change | None]:
        for name in action.topics:
            for own in self.mirrors[name].own if name in self.mirrors else ():
                if own.action == action.id:
                    return name, own.change
        return "", None
