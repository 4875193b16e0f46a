"""What this client knows of its room: sections 3 to 6 of ``docs/merging.md``.

Pure: messages of the server go in, messages for the server and notes for the application come out; no
socket, clock or randomness.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .change import LIMITS, Value, decode
from .code import NAMES, ChatroomError, Rejected
from .invert import invert_with
from .mirror import Mirror, Own, Resuming
from .text import Text
from .transform import Change, components_of, compose_edits
from .undo import GROUP_MS, Direction, History, Part
from .value import canonical

Message = dict[str, Any]
Maker = Callable[[str, "Value | None"], Change]
"""Makes a change from a topic's type and value, for a position that counts from the end."""

PENDING_MAX = 10_000
# So many components a joined edit has at most; each further keystroke walks over them.
JOINED_COMPONENTS_MAX = 256
ENVELOPE_BYTES = 256
PART_BYTES = 64


@dataclass
class Told:
    """What the functions that follow a topic are told."""

    topic_name: str
    cause: str
    changes: list[Change]
    sequence: int
    by: int


@dataclass
class Settled:
    """The outcome of an action."""

    action: int
    sequence: int = 0
    effect: bool = True
    rejected: Rejected | None = None


@dataclass
class Pending:
    """An own action that has no outcome yet. Its changes are with their topics."""

    id: int
    topics: list[str]
    taken_from: Direction | None = None
    tracked: bool = False
    group: int | None = None
    at_ms: int = 0
    # The topics that it named when it was sent, in that order; None if it never was.
    named: list[str] | None = None
    # The actions that joined it and have its outcome (M48).
    joined: list[int] = field(default_factory=list)


@dataclass
class Waiting:
    """An action that waits for a topic to be loaded."""

    id: int
    parts: list[tuple[str, Change | Maker]]
    tracked: bool
    group: int | None
    now_ms: int


class Replica:
    """All topics that somebody holds, and the session they belong to."""

    def __init__(self) -> None:
        self.client: int | None = None
        self.online = False
        self.session: dict[str, Any] | None = None
        self.limits: dict[str, int] = {**LIMITS, "action_changes": 1000, "push_actions": 256, "message_bytes": 1 << 20}
        self.mirrors: dict[str, Mirror] = {}
        self.history = History()
        self.told: list[Told] = []
        self.settled: list[Settled] = []
        self.statuses: list[str] = []
        self.gaps: list[str] = []
        self._actions: deque[Pending] = deque()
        self._sent = 0
        self._acknowledged = 0
        self._waiting: list[Waiting] = []
        self._next_action = 0
        self._resuming: set[str] | None = None
        self._unreadable: list[str] = []

    # Opening and releasing.

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
                said.append({"type": "subscribe", "content": {"topic_name": name, **kind}})
            if not mirror.wanted and not mirror.own and mirror.wire not in ("live", "asked"):
                del self.mirrors[name]
        return said

    # The connection.

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
        resume = [{"topic_name": name, "type": it.kind, "sequence": it.position} for name, it in held.items()]
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

    def _settle(
        self, action: Pending, sequence: int = 0, effect: bool = True, rejected: Rejected | None = None
    ) -> None:
        """An action, and those that joined it, have their outcome."""
        for number in (action.id, *action.joined):
            self.settled.append(Settled(number, sequence, effect, rejected))

    def _first_part(self, action: Pending) -> tuple[str, Change | None]:
        for name in action.topics:
            for own in self.mirrors[name].own if name in self.mirrors else ():
                if own.action == action.id:
                    return name, own.change
        return "", None

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

    # What the server says.

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
            case "update":
                part = [(content["topic_name"], content["change"], content["previous"])]
                self._commit(part, content["sequence"], content["by"])
            case "action":
                parts = [(part["topic_name"], part["change"], part["previous"]) for part in content["changes"]]
                self._commit(parts, content["sequence"], content["by"])
            case "accepted":
                self._accepted(content)
            case "reject_update" if isinstance(content.get("action_id"), int):
                self._rejected(content)
            case "error" if content.get("in_reply_to", {}).get("type") == "subscribe":
                code = NAMES.get(content["code"], "unknown")
                self._refused(content["in_reply_to"].get("topic_name", ""), ChatroomError(code, content["reason"]))

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
        self._go_on_undoing()

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

    def _doubt(self, name: str, why: str) -> None:
        self.mirrors[name].doubted = True
        self.gaps.append(f"{name}: {why}")

    def _last_undo(self) -> tuple[Direction, int] | None:
        last = None
        for action in self._actions:
            if action.taken_from is None:
                break
            last = (action.taken_from, action.id)
        return last

    def _commit(self, parts: list[tuple[str, Change, int]], sequence: int, by: int) -> None:
        """All of a commit is in place before anybody hears of a part of it (M42)."""
        topics: dict[str, tuple[int, list[Change]]] = {}
        for name, change, previous in parts:
            bare = {field: value for field, value in change.items() if field != "id"}
            topics.setdefault(name, (previous, []))[1].append(bare)
        undos = self._last_undo()
        for name, (previous, changes) in topics.items():
            mirror = self.mirrors.get(name)
            if mirror is None or not mirror.follows or sequence <= mirror.position:
                continue
            if previous > mirror.position:
                self._doubt(name, f"a change after {previous}, but this client stands at {mirror.position}")
                continue
            self._commit_in(name, mirror, changes, sequence, by, undos)

    def _commit_in(
        self,
        name: str,
        mirror: Mirror,
        changes: list[Change],
        sequence: int,
        by: int,
        undos: tuple[Direction, int] | None,
    ) -> None:
        assert mirror.value is not None
        before, kind = mirror.before(changes), mirror.kind or ""
        told: list[Change] = []
        mirror.rewind()
        try:
            for change in changes:
                back = mirror.value.apply(change)
                pending = bool(mirror.own)
                behind_all, behind_undos = mirror.carry([change], 0, undos[1] if undos else None)
                effect = back is not None or kind == "event"
                if effect or pending:
                    told.extend(it for it in behind_all if not _is_empty(it))
                if effect:
                    direction = undos[0] if undos else None
                    self.history.committed(name, kind, change, behind_undos, behind_all, direction)
        except ChatroomError as error:
            self._doubt(name, f"a change that does not apply: {error}")
        mirror.replay()
        if mirror.doubted:
            return
        mirror.position = sequence
        self._tell(name, "remote", mirror.since(before, told), by)

    def _tell(self, name: str, cause: str, changes: list[Change], by: int) -> None:
        mirror = self.mirrors[name]
        if not changes:
            return
        if mirror.resuming is not None:
            mirror.resuming.changes.extend(changes)
            mirror.resuming.by = by
            return
        self.told.append(Told(name, cause, changes, mirror.position, by))

    # Own actions.

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
                size += len(name) + PART_BYTES + len(canonical(change).encode())
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
        action = Pending(waiting.id, list(shown), None, waiting.tracked, waiting.group, waiting.now_ms)
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
        size = ENVELOPE_BYTES + len(name) + PART_BYTES + len(canonical(made).encode())
        if len(change) > JOINED_COMPONENTS_MAX or size > self.limits["message_bytes"]:
            return False
        mirror.own.pop()
        before.change, before.back = (made, {"type": "edit", "components": back}) if change else (None, None)
        youngest.at_ms = action.at_ms
        youngest.joined.append(action.id)
        return True

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
        self._go_on_undoing()

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
        before = mirror.before(altered or [])
        mirror.rewind()
        mine = [own for own in mirror.own if own.action == action.id]
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
        self._go_on_undoing()

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

    # Undo and redo.

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

    def _number(self) -> int:
        self._next_action += 1
        return self._next_action

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

    # Reading.

    @property
    def me(self) -> int:
        """This client's id, or the server's before it is known."""
        return self.client or 0

    @property
    def unsaved(self) -> int:
        """How many own actions have no outcome yet."""
        return len(self._actions) + sum(len(action.joined) for action in self._actions) + len(self._waiting)

    def value(self, name: str) -> Any:
        """The confirmed value with the own changes on top, as a snapshot shows it."""
        mirror = self.mirrors.get(name)
        return None if mirror is None or mirror.value is None else mirror.value.show()

    def confirmed(self, name: str) -> Any:
        """The value as the room has it, up to what is on its way."""
        mirror = self.mirrors.get(name)
        return None if mirror is None else mirror.confirmed()


def _is_empty(change: Change) -> bool:
    """Whether a change of positions never does anything."""
    if change["type"] == "move":
        return bool(change["from"] == change["to"])
    return change["type"] == "edit" and not change["components"]


def _is_blind(kind: str | None, change: Change) -> bool:
    """Whether a change makes sense without knowing the value (M41)."""
    if change["type"] == "add":
        return kind in ("int", "float")
    return change["type"] in ("set", "put", "ensure", "append", "remove", "emit") or kind == "presence"
