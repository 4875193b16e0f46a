"""Handles to topics: one class for each type, with the changes of that type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from .action import Action
from .change import Value
from .code import ChatroomError
from .session import Maker
from .transform import Change

if TYPE_CHECKING:
    from .client import Client

T = TypeVar("T")
Listener = Callable[["Update"], Awaitable[None] | None]
Recorder = Callable[[str, "Change | Maker"], Any]


@dataclass(frozen=True)
class Hz:
    """So many updates a second at most, each the newest."""

    per_second: float


Deliver = Literal["every", "latest"] | Hz


@dataclass(frozen=True)
class Update:
    """What a listener is told: why, and the changes that lead to the value from the one before."""

    topic: Topic[Any]
    cause: str
    changes: Sequence[Change]
    sequence: int
    by: int

    @property
    def value(self) -> Any:
        """The topic's value now."""
        return self.topic.value

    @property
    def args(self) -> Any:
        """What an event carries."""
        return self.changes[0].get("args") if self.changes else None


class Topic(Generic[T]):
    """A topic of the room. Handles of one name share one subscription."""

    kind = "generic"

    def __init__(self, room: Client, name: str, record: Recorder | None = None) -> None:
        self.room = room
        self.name = name
        self._record = record or (lambda name, change: room.act([(name, change)]))

    @property
    def value(self) -> T:
        """The value, with the own changes in it from the moment they are made; ``None`` before it is loaded."""
        value: Any = self.room.replica.value(self.name)
        # Not the replica's own, which goes on changing.
        return cast(T, value.copy() if isinstance(value, list | dict) else value)

    @property
    def confirmed(self) -> T:
        """The value as the room has it, without own changes that have no outcome yet."""
        value: Any = self.room.replica.confirmed(self.name)
        # Not the replica's own, which goes on changing.
        return cast(T, value.copy() if isinstance(value, list | dict) else value)

    @property
    def status(self) -> str:
        """``loading``, ``live``, ``stale``, ``denied`` or ``removed``."""
        mirror = self.room.replica.mirrors.get(self.name)
        return mirror.status if mirror else "loading"

    async def loaded(self) -> T:
        """Waits for the value; raises why there is none."""
        await self.room.until(lambda: self.status != "loading")
        mirror = self.room.replica.mirrors.get(self.name)
        if mirror is not None and mirror.error is not None:
            raise mirror.error
        return self.value

    def on(self, listener: Listener, deliver: Deliver = "every") -> Callable[[], None]:
        """Calls a function, or a coroutine function, with every update; returns what ends that.

        ``deliver="latest"`` passes over what is older than the newest update that waits, ``Hz(n)`` calls it so
        many times a second at most. Events are never passed over.
        """
        return self.room.listen(self, listener, deliver=deliver)

    async def changes(self) -> AsyncIterator[Update]:
        """Every update from now on, until the client is closed."""
        queue: asyncio.Queue[Update | None] = asyncio.Queue()
        off = self.room.listen(self, queue.put_nowait, stream=queue)
        try:
            while (update := await queue.get()) is not None:
                yield update
        finally:
            off()

    def close(self) -> None:
        """Gives the topic up; its subscription ends with the last handle."""
        self.room.release(self.name)

    def _change(self, change: Change | Maker) -> Any:
        return self._record(self.name, change)


class Json(Topic[Any]):
    """Any JSON value, replaced as a whole."""

    def set(self, value: Any) -> Action:
        return self._change({"type": "set", "value": value})  # type: ignore[no-any-return]


class Bool(Topic[bool]):
    """True or false."""

    kind = "bool"

    def set(self, value: bool) -> Action:
        return self._change({"type": "set", "value": value})  # type: ignore[no-any-return]


class Int(Topic[int]):
    """An integer within 2^53 - 1."""

    kind = "int"

    def set(self, value: int) -> Action:
        return self._change({"type": "set", "value": value})  # type: ignore[no-any-return]

    def add(self, amount: int) -> Action:
        """Adds; additions of several clients add up."""
        return self._change({"type": "add", "value": amount})  # type: ignore[no-any-return]


class Float(Topic[float]):
    """A finite double."""

    kind = "float"

    def set(self, value: float) -> Action:
        return self._change({"type": "set", "value": value})  # type: ignore[no-any-return]

    def add(self, amount: float) -> Action:
        """Adds; additions of several clients add up."""
        return self._change({"type": "add", "value": amount})  # type: ignore[no-any-return]


class Text(Topic[str]):
    """Text that many edit at once; positions are Python's own."""

    kind = "string"

    def set(self, value: str) -> Action:
        """Replaces the text, whatever others type meanwhile."""
        return self._change({"type": "set", "value": value})  # type: ignore[no-any-return]

    def insert(self, position: int, text: str) -> Action:
        return self.edit([{"retain": position}, {"insert": text}])

    def delete(self, position: int, count: int) -> Action:
        return self.edit([{"retain": position}, {"delete": count}])

    def edit(self, components: Sequence[dict[str, Any]]) -> Action:
        """Walks over the text once: ``retain``, ``insert`` and ``delete``; the rest is kept."""
        said = [part for part in components if part.get("retain") != 0 and part.get("delete") != 0]
        return self._change({"type": "edit", "components": said})  # type: ignore[no-any-return]


class List(Topic[list[Any]]):
    """Items in an order; a negative position counts from the end."""

    kind = "list"

    def set(self, items: Sequence[Any]) -> Action:
        return self._change({"type": "set", "value": list(items)})  # type: ignore[no-any-return]

    def insert(self, position: int, item: Any) -> Action:
        return self._at({"type": "insert", "item": item}, position=position)

    def append(self, item: Any) -> Action:
        """Puts an item at the end."""

        def make(_: str, value: Value | None) -> Change:
            return {"type": "insert", "position": len(value.data) if value else 0, "item": item}

        return self._change(make)  # type: ignore[no-any-return]

    def pop(self, position: int = -1) -> Action:
        return self._at({"type": "pop"}, position=position)

    def set_item(self, position: int, item: Any) -> Action:
        return self._at({"type": "set_item", "item": item}, position=position)

    def move(self, start: int, end: int) -> Action:
        """Moves an item; ``end`` is its index afterwards."""
        return self._at({"type": "move"}, **{"from": start, "to": end})

    def _at(self, change: Change, **positions: int) -> Action:
        if all(position >= 0 for position in positions.values()):
            return self._change({**change, **positions})  # type: ignore[no-any-return]

        def make(_: str, value: Value | None) -> Change:
            length = len(value.data) if value else 0
            places = {name: at if at >= 0 else length + at for name, at in positions.items()}
            if min(places.values()) < 0:
                raise ChatroomError("out_of_range", f"{positions} is before the beginning of a list of {length}")
            return {**change, **places}

        return self._change(make)  # type: ignore[no-any-return]


class Set(Topic[list[Any]]):
    """Items without order, each once."""

    kind = "set"

    def set(self, items: Sequence[Any]) -> Action:
        return self._change({"type": "set", "value": list(items)})  # type: ignore[no-any-return]

    def add(self, item: Any) -> Action:
        return self._change({"type": "append", "item": item})  # type: ignore[no-any-return]

    def remove(self, item: Any) -> Action:
        return self._change({"type": "remove", "item": item})  # type: ignore[no-any-return]


class Dict(Topic[dict[str, Any]]):
    """Items under keys."""

    kind = "dict"

    def set(self, entries: Mapping[str, Any]) -> Action:
        return self._change({"type": "set", "value": dict(entries)})  # type: ignore[no-any-return]

    def add(self, key: str, value: Any) -> Action:
        """Claims a key: refused if it is there."""
        return self._change({"type": "add", "key": key, "value": value})  # type: ignore[no-any-return]

    def put(self, key: str, value: Any) -> Action:
        return self._change({"type": "put", "key": key, "value": value})  # type: ignore[no-any-return]

    def ensure(self, key: str, value: Any) -> Action:
        """Writes a key unless it is there."""
        return self._change({"type": "ensure", "key": key, "value": value})  # type: ignore[no-any-return]

    def change_value(self, key: str, value: Any) -> Action:
        """Replaces the value of a key that is there."""
        return self._change({"type": "change_value", "key": key, "value": value})  # type: ignore[no-any-return]

    def pop(self, key: str) -> Action:
        return self._change({"type": "pop", "key": key})  # type: ignore[no-any-return]


class Event(Topic[None]):
    """No value: each change is something that happened."""

    kind = "event"

    def emit(self, args: Any = None) -> Action:
        return self._change({"type": "emit", "args": args})  # type: ignore[no-any-return]


class Presence(Topic[dict[str, Any]]):
    """One entry per client, gone with it; the own one comes back after a reconnect."""

    kind = "presence"

    @property
    def mine(self) -> Any:
        return (self.value or {}).get(str(self.room.replica.me))

    @property
    def others(self) -> dict[str, Any]:
        me = str(self.room.replica.me)
        return {client: entry for client, entry in (self.value or {}).items() if client != me}

    def put(self, value: Any) -> Action:
        self.room.present[self.name] = value
        return self._change({"type": "put", "value": value})  # type: ignore[no-any-return]

    def clear(self) -> Action:
        self.room.present.pop(self.name, None)
        return self._change({"type": "pop"})  # type: ignore[no-any-return]
