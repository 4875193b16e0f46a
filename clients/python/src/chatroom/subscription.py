"""Which topics are wanted, what was asked of the server about them, and what it answered."""

from __future__ import annotations

from typing import Any

from .change import Value
from .code import ChatroomError
from .mirror import Mirror
from .news import Told
from .outcome import Outcomes
from .own import Making
from .session import Message


class Subscriptions(Outcomes, Making):
    """Asks for topics, and takes in their values."""

    def open(self, name: str, kind: str | None) -> None:
        """Wants a topic; ``None`` is for whatever type it has."""
        mirror = self.mirrors.setdefault(name, Mirror())
        again = mirror.wire in ("refused", "gone")
        if kind is not None:
            if mirror.kind not in (None, kind):
                if mirror.wanted:
                    raise ChatroomError("type_mismatch", f"this client has {name} open with the type {mirror.kind}")
                mirror.doubted, again = True, True
            mirror.kind = mirror.declared = kind
        mirror.wanted = True
        if again:
            mirror.wire = "absent" if mirror.wire in ("refused", "gone") else mirror.wire
            mirror.status, mirror.value, mirror.error = "loading", None, None
            self.statuses.append(name)
            self._forget_value(name)

    def _forget_value(self, name: str) -> None:
        mirror = self.mirrors[name]
        for own in mirror.own:
            own.back, own.applied = None, False
        mirror.resuming = None
        self.history.forget(name)

    def release(self, name: str) -> None:
        """Wants a topic no more."""
        mirror = self.mirrors.get(name)
        if mirror is not None:
            mirror.wanted, mirror.declared = False, None
            self.options.pop(name, None)
            self.history.forget(name)

    def asking(self) -> list[Message]:
        """What has to be sent about subscriptions; a topic that nobody wants is forgotten here."""
        if self._resuming is not None and self.online:
            return []
        said = [{"type": "unsubscribe", "content": {"topic_name": name}} for name in self._unreadable]
        self._unreadable = []
        for name, mirror in list(self.mirrors.items()):
            if mirror.wire == "live" and self.online and (not mirror.wanted or mirror.doubted):
                said.append({"type": "unsubscribe", "content": {"topic_name": name}})
                mirror.wire = "absent"
            elif mirror.wire == "refused" and mirror.asked_as != mirror.declared:
                mirror.wire = "absent"
            if mirror.wanted and mirror.wire == "absent" and self.online:
                mirror.doubted, mirror.wire, mirror.asked_as = False, "asked", mirror.declared
                kind = {"type": mirror.declared} if mirror.declared else {}
                said.append({"type": "subscribe", "content": {"topic_name": name, **kind, **self._options_of(name)}})
            if not mirror.wanted and not mirror.own and mirror.wire not in ("live", "asked"):
                del self.mirrors[name]
        return said

    def _subscribed(self, name: str, kind: str, shown: Any, sequence: int) -> None:
        mirror = self.mirrors.get(name)
        if mirror is None or mirror.wire not in ("asked", "live"):
            return
        mismatch = mirror.declared not in (None, kind)
        if mirror.wire == "asked" and mismatch and mirror.asked_as == mirror.declared:
            return
        mirror.wire, mirror.doubted = "live", mismatch
        if mismatch:
            return
        self._replace(name, mirror, kind, Value.load(kind, shown), sequence)
        self._settle_waiting()

    def _replace(self, name: str, mirror: Mirror, kind: str, value: Value, sequence: int) -> None:
        known, resuming = mirror.value is not None, mirror.resuming
        if mirror.status != "live" and resuming is None:
            mirror.status = "live"
            self.statuses.append(name)
        before, mirror.value = mirror.value, value
        mirror.kind, mirror.position, mirror.outdated = kind, sequence, False
        for own in mirror.own:
            own.back, own.applied = None, False
        lost: list[int] = []
        if known and mirror.positional:
            unsent = list(self._actions)[self._sent].id if len(self._actions) > self._sent else None
            for own in mirror.own:
                # What is on its way is placed by the room; where it stands now cannot be known here.
                if resuming is None and unsent is not None and own.action >= unsent:
                    lost.append(own.action)
                else:
                    own.lost = True
            mirror.clouded = resuming is None and any(own.lost for own in mirror.own)
        if resuming is not None:
            resuming.replaced = True
        mirror.replay()
        if known:
            self.history.forget(name)
        if resuming is None and kind != "event" and (before is None or not mirror.leads(before.data, [])):
            self.told.append(Told(name, "snapshot", [], sequence, 0))
        # What is taken back is taken from the new value.
        self._lose(lost, "stale_base", "the text or list came anew, and where this belongs in it is not known any more")

    def _refused(self, name: str, error: ChatroomError) -> None:
        mirror = self.mirrors.get(name)
        if mirror is None:
            return
        deleted = error.code == "topic_deleted"
        if mirror.wire == "live" and deleted:
            mirror.wire, mirror.status, mirror.error = "gone", "removed", error
            self._forget_value(name)
        elif mirror.wire == "asked" and (mirror.asked_as != mirror.declared or not mirror.wanted):
            mirror.wire = "absent"
            return
        elif mirror.wire in ("asked", "live") and not deleted:
            mirror.wire, mirror.status, mirror.error = "refused", "denied", error
        else:
            return
        self.statuses.append(name)
        self._settle_waiting()
