"""What outlives the program: the session, the values, and the own actions without an outcome.

A replica made of it is as one that lost its connection: it goes on with the session, and what has no outcome is
sent again under the same numbers. All three clients read and write the same form. What can be undone is not in
it, nor actions that wait for a value.
"""

from __future__ import annotations

import copy
from typing import Any, TypedDict

from .change import KINDS, Value
from .code import ChatroomError
from .mirror import Mirror, Own
from .session import Pending, Session
from .transform import Change


class SavedTopic(TypedDict, total=False):
    topic_name: str
    type: str
    sequence: int
    value: Any


class SavedChange(TypedDict, total=False):
    topic_name: str
    change: Change
    lost: bool


class SavedAction(TypedDict, total=False):
    changes: list[SavedChange]
    named: list[str]
    tracked: bool


class Saved(TypedDict, total=False):
    """What a client is made of when its program starts again. As secret as a password."""

    version: int
    session: dict[str, Any]
    acknowledged: int
    sent: int
    topics: list[SavedTopic]
    actions: list[SavedAction]


class Saving(Session):
    """Writes and reads what is saved."""

    def save(self) -> Saved:
        """What this client is made of when its program starts again."""
        kept = [
            (name, mirror)
            for name, mirror in sorted(self.mirrors.items())
            if mirror.own
            or (mirror.wanted and mirror.value is not None and not mirror.outdated and mirror.error is None)
        ]
        saved: Saved = {
            "version": 1,
            "acknowledged": self._acknowledged,
            "sent": self._sent,
            "topics": [_saved_topic(name, mirror) for name, mirror in kept],
            "actions": [self._saved_action(action) for action in self._actions],
        }
        if self.session is not None:
            saved["session"] = self.session
        return copy.deepcopy(saved)

    def _saved_action(self, action: Pending) -> SavedAction:
        own = [
            (own, name)
            for name in action.topics
            for own in (self.mirrors[name].own if name in self.mirrors else ())
            if own.action == action.id and own.change is not None
        ]
        changes: list[SavedChange] = []
        for it, name in sorted(own, key=lambda pair: pair[0].part):
            change: SavedChange = {"topic_name": name, "change": it.change or {}}
            if it.lost:
                change["lost"] = True
            changes.append(change)
        saved: SavedAction = {"changes": changes, "tracked": action.tracked and action.taken_from is None}
        if action.named is not None:
            saved["named"] = action.named
        return saved

    def restore(self, saved: Saved) -> None:
        """Goes on where another one was saved; for a replica that is new."""
        if saved.get("version") != 1:
            found = saved.get("version")
            raise ChatroomError("unsupported", f"the saved session is of version {found}; this client reads version 1")
        try:
            self._restore(copy.deepcopy(saved))
        except (KeyError, TypeError, AttributeError, ChatroomError) as error:
            raise ChatroomError("bad_type", f"the saved session: {error}") from error

    def _restore(self, saved: Saved) -> None:
        self.session = saved.get("session")
        self.client = self.session["id"] if self.session else None
        self._acknowledged, self._sent = saved["acknowledged"], saved["sent"]
        if self._sent > len(saved["actions"]):
            raise ChatroomError("bad_type", "it has another number of actions than it says")
        for topic in saved["topics"]:
            self.mirrors[topic["topic_name"]] = _restored(topic)
        for action in saved["actions"]:
            self._restore_action(action)
        for mirror in self.mirrors.values():
            mirror.replay()

    def _restore_action(self, saved: SavedAction) -> None:
        number, named = self._number(), saved.get("named")
        topics = list(dict.fromkeys([*(change["topic_name"] for change in saved["changes"]), *(named or ())]))
        for part, it in enumerate(saved["changes"]):
            mirror = self.mirrors[it["topic_name"]]
            mirror.own.append(Own(number, part, it["change"], lost=it.get("lost", False)))
        self._actions.append(Pending(number, topics, tracked=saved["tracked"], named=named))


def _saved_topic(name: str, mirror: Mirror) -> SavedTopic:
    saved: SavedTopic = {"topic_name": name}
    if mirror.kind is not None:
        saved["type"] = mirror.kind
    if mirror.value is not None and not mirror.outdated:
        saved["sequence"], saved["value"] = mirror.position, mirror.confirmed()
    return saved


def _restored(saved: SavedTopic) -> Mirror:
    mirror = Mirror(kind=saved.get("type"), wanted=True)
    if mirror.kind is not None and mirror.kind not in KINDS:
        raise ChatroomError("bad_type", f"there is no topic type {mirror.kind}")
    if mirror.kind is not None and "value" in saved:
        mirror.value = Value.load(mirror.kind, saved["value"])
        mirror.position, mirror.status = saved.get("sequence", 0), "stale"
    return mirror
