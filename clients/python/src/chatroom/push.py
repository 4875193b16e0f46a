"""What goes to the server: the pending actions, several in one message (M20, M26)."""

from __future__ import annotations

from itertools import islice

from .mirror import Own
from .session import ENVELOPE_BYTES, PART_BYTES, Message, Pending, Session
from .transform import Change
from .value import bytes_of


class Pushes(Session):
    """Says what was done."""

    def push(self) -> Message | None:
        """The next message with own actions, if one may go out now; they are on their way then (M20, M26)."""
        if not self.online or self._resuming is not None:
            return None
        actions: list[Message] = []
        names: list[str] = []
        size = ENVELOPE_BYTES
        known: dict[str, dict[int, list[Own]]] = {}
        for action in islice(self._actions, self._sent, self._sent + self.limits["push_actions"]):
            if self._has_to_stay(action):
                break
            for name in action.topics:
                if name not in known:
                    known[name] = self._by_action(name)
            own = [(own.part, name, own.change) for name in action.topics for own in known[name].get(action.id, ())]
            changes = [(name, change) for _, name, change in sorted(own, key=lambda it: it[0]) if change is not None]
            size += sum(len(name) + PART_BYTES + bytes_of(change) for name, change in changes)
            if actions and size > self.limits["message_bytes"]:
                break
            action.named = list(dict.fromkeys(name for name, _ in changes))
            names.extend(name for name in action.named if name not in names)
            actions.append({"changes": [{"topic": names.index(name), "change": it} for name, it in changes]})
        if not actions:
            return None
        number = self._acknowledged + 1 + self._sent
        self._sent += len(actions)
        topics = []
        for name in names:
            mirror = self.mirrors[name]
            base = {} if mirror.value is None else {"base": mirror.position}
            topics.append({"topic_name": name, **base})
        content = {"number": number, "acknowledged": self._acknowledged, "topics": topics, "actions": actions}
        return {"type": "push", "content": content}

    def _by_action(self, name: str) -> dict[int, list[Own]]:
        """The own changes of a topic, gone through once however many actions are sent."""
        found: dict[int, list[Own]] = {}
        for own in self.mirrors[name].own if name in self.mirrors else ():
            found.setdefault(own.action, []).append(own)
        return found

    def _changes_of(self, action: Pending) -> list[tuple[int, str, Change]]:
        return [
            (own.part, name, own.change)
            for name in action.topics
            for own in (self.mirrors[name].own if name in self.mirrors else ())
            if own.action == action.id and own.change is not None
        ]

    def _has_to_stay(self, action: Pending) -> bool:
        for name in action.topics:
            mirror = self.mirrors[name]
            if mirror.wanted and mirror.outdated and mirror.wire in ("absent", "asked"):
                return True
            if mirror.positional and any(name in other.topics for other in islice(self._actions, self._sent)):
                return True
        return False
