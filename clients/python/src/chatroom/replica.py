"""What this client knows of its room: sections 3 to 6 of ``docs/merging.md``, and how the session goes on.

Pure: messages of the server go in, messages for the server and notes for the application come out; no
socket, clock or randomness.
"""

from __future__ import annotations

from typing import Any

from .code import NAMES, ChatroomError
from .commit import Commits
from .mirror import Resuming
from .news import Told
from .saved import Saving
from .session import Message
from .subscription import Subscriptions
from .text import Text
from .undoing import Undoing


class Replica(Subscriptions, Commits, Undoing, Saving):
    """All topics that somebody holds, and the session they belong to."""

    def receive(self, message: Message) -> None:
        """Takes a message of the server that is about topics and own actions."""
        content = message["content"]
        match message["type"]:
            case "hello":
                self._connected(content)
            case "resumed":
                self._resumed()
            case "subscribed":
                self._subscribed(content["topic_name"], content["type"], content["value"], content["sequence"])
                self._go_on_undoing()
            case "update":
                part = [(content["topic_name"], content["change"], content["previous"])]
                self._commit(part, content["sequence"], content["by"])
            case "action":
                parts = [(part["topic_name"], part["change"], part["previous"]) for part in content["changes"]]
                self._commit(parts, content["sequence"], content["by"])
            case "accepted":
                self._accepted(content)
                self._go_on_undoing()
            case "reject_update" if isinstance(content.get("action_id"), int):
                self._rejected(content)
                self._go_on_undoing()
            case "error" if content.get("in_reply_to", {}).get("type") == "subscribe":
                code = NAMES.get(content["code"], "unknown")
                self._refused(content["in_reply_to"].get("topic_name", ""), ChatroomError(code, content["reason"]))

    def hello(self) -> Message:
        """What to say in the hello of the next connection to go on with the session."""
        if self.session is None:
            return {}
        held = {
            name: mirror
            for name, mirror in self.mirrors.items()
            if mirror.wanted and mirror.wire != "gone" and mirror.value is not None and not mirror.outdated
        }
        held = {name: mirror for name, mirror in held.items() if mirror.status in ("live", "stale")}
        self._resuming = set(held)
        resume = [
            {"topic_name": name, "type": it.kind, "sequence": it.position, **self._options_of(name)}
            for name, it in held.items()
        ]
        return {"session": self.session, "acknowledged": self._acknowledged, "resume": resume}

    def _connected(self, content: Message) -> None:
        self.limits = {**self.limits, **content.get("limits", {})}
        self.online = True
        known, self.client = self.client, content["id"]
        session = content.get("session")
        if content.get("resumed") in ("resumed", "resynced") and self.session is not None:
            self.session = session or self.session
            self._resuming = self._resuming if self._resuming is not None else set()
            for name in self._resuming:
                mirror = self.mirrors.get(name)
                if mirror is not None and mirror.wanted and mirror.value is not None and mirror.wire == "absent":
                    mirror.wire = "live"
                    data = mirror.value.data
                    mirror.resuming = Resuming(data.copy() if isinstance(data, Text | list | dict) else data)
                else:
                    self._unreadable.append(name)
            return
        self._resuming, self.session = None, session
        if known is not None:
            self._reset()
        for mirror in self.mirrors.values():
            for own in mirror.own:
                if mirror.kind == "presence" and own.change is not None:
                    own.change = {**own.change, "key": str(self.client)}

    def _reset(self) -> None:
        """The session is another one: what was on its way has no outcome that anybody knows (M33)."""
        lost = [action.id for action in list(self._actions)[: self._sent]]
        self._sent = 0
        self.history.clear()
        reason = "the connection was lost before the outcome was known, and the server does not know this client"
        self._lose(lost, "connection_lost", reason, maybe_executed=True)
        self._acknowledged = 0
        for mirror in self.mirrors.values():
            mirror.outdated = mirror.value is not None

    def _resumed(self) -> None:
        """The server has said all that was missed (M31, M32)."""
        if self._resuming is None:
            return
        self._resuming, self._sent = None, 0
        lost = [own.action for mirror in self.mirrors.values() for own in mirror.own if own.lost]
        self._lose(lost, "stale_base", "the text or list came anew, and where this belongs in it is not known any more")
        for name in list(self.mirrors):
            self._end_resuming(name, "live")
        self._settle_waiting()
        self._go_on_undoing()

    def _end_resuming(self, name: str, status: Any) -> None:
        mirror = self.mirrors[name]
        resuming, mirror.resuming = mirror.resuming, None
        if resuming is None:
            return
        if mirror.status != status:
            mirror.status = status
            self.statuses.append(name)
        if not resuming.changes and not resuming.replaced:
            return
        if resuming.replaced and mirror.leads(resuming.before, []):
            return
        exact = mirror.kind == "event" or mirror.leads(resuming.before, resuming.changes)
        if exact and not resuming.replaced:
            self.told.append(Told(name, "remote", resuming.changes, mirror.position, resuming.by))
        else:
            self.told.append(Told(name, "snapshot", [], mirror.position, 0))

    def disconnect(self) -> None:
        """The connection is gone, and every subscription with it. Values stay."""
        self.online, self._resuming, self._unreadable = False, None, []
        for name, mirror in self.mirrors.items():
            self._end_resuming(name, "stale")
            mirror.doubted = False
            if mirror.wire != "gone":
                mirror.wire = "absent"
            if mirror.status == "live":
                mirror.status = "stale"
                self.statuses.append(name)
        self.asking()

    def value(self, name: str) -> Any:
        """The confirmed value with the own changes on top, as a snapshot shows it."""
        mirror = self.mirrors.get(name)
        return None if mirror is None or mirror.value is None else mirror.value.show()

    def confirmed(self, name: str) -> Any:
        """The value as the room has it, up to what is on its way."""
        mirror = self.mirrors.get(name)
        return None if mirror is None else mirror.confirmed()
