"""What goes to the server: the pending actions, several in one message (M20, M26)."""

from __future__ import annotations

from .session import ENVELOPE_BYTES, PART_BYTES, Message, Pending, Session
from .transform import Change
from .value import canonical


class Pushes(Session):
    """Says what was done."""

    def push(self) -> Message | None:
        """The next message with own actions, if one may go out now; they are on their way then (M20, M26)."""
        if not self.online or self._resuming is not None:
            return None
        actions: list[Message] = []
        names: list[str] = []
        size = ENVELOPE_BYTES
        for action in list(self._actions)[self._sent : self._sent + self.limits["push_actions"]]:
            changes = sorted(self._changes_of(action), key=lambda change: change[0])
            size += sum(len(name) + PART_BYTES + len(canonical(change).encode()) for _, name, change in changes)
            if (actions and size > self.limits["message_bytes"]) or self._has_to_stay(action):
                break
            action.named = list(dict.fromkeys(name for _, name, _ in changes))
            names.extend(name for name in action.named if name not in names)
            actions.append({"changes": [{"topic": names.index(name), "change": it} for _, name, it in changes]})
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
            if mirror.positional and any(name in other.topics for other in list(self._actions)[: self._sent]):
                return True
        return False
