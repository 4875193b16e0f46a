"""The client for programs without an event loop: one runs on a thread of its own.

>>> with sync.Client("ws://localhost:8765") as room:  # doctest: +SKIP
...     score = room.topic("game/score", Int)
...     score.do("add", 1)
...     print(score.value)

Everything may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .action import Accepted, Action
from .client import Client as AsyncClient
from .past import CommitPage
from .service import Handler
from .topic import Topic as AsyncTopic
from .topic import Update

T = TypeVar("T")


class Topic:
    """A topic; ``do`` makes a change of it and waits for its outcome."""

    def __init__(self, room: Client, topic: AsyncTopic[Any]) -> None:
        self._room = room
        self._topic = topic

    @property
    def value(self) -> Any:
        """The value, with the own changes in it."""
        return self._room.ask(lambda: self._topic.value)

    @property
    def confirmed(self) -> Any:
        """The value as the room has it."""
        return self._room.ask(lambda: self._topic.confirmed)

    @property
    def status(self) -> str:
        return self._room.ask(lambda: self._topic.status)

    def loaded(self, timeout: float | None = 10) -> Any:
        """Waits for the value."""
        return self._room.wait(self._topic.loaded(), timeout)

    def do(self, change: str, *args: Any, timeout: float | None = 10) -> Accepted:
        """Makes a change by its name: ``score.do("add", 1)``; raises ``Rejected``."""

        async def made() -> Accepted:
            action: Action = getattr(self._topic, change)(*args)
            return await action

        return self._room.wait(made(), timeout)

    def on(self, listener: Callable[[Update], None]) -> Callable[[], None]:
        """Calls a function with every update, on the client's thread."""
        off = self._room.ask(lambda: self._topic.on(listener))
        return lambda: self._room.ask(off)


class Client:
    """A room for programs without an event loop."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chatroom", daemon=True)
        self._thread.start()

        async def make() -> AsyncClient:
            return AsyncClient(url)

        self._room = self.wait(make())

    def __enter__(self) -> Client:
        self.wait(self._room.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, work: Coroutine[Any, Any, T], timeout: float | None = 10) -> T:
        """Lets the client's thread do something, and waits for its end."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a listener runs on the client's thread, which cannot wait for itself")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def ask(self, read: Callable[[], T]) -> T:
        """Reads something that only the client's thread may read."""
        if threading.current_thread() is self._thread:
            return read()

        async def asked() -> T:
            return read()

        return self.wait(asked())

    @property
    def unsaved(self) -> int:
        """How many own actions have no outcome yet."""
        return self.ask(lambda: self._room.unsaved)

    @property
    def id(self) -> int | None:
        return self.ask(lambda: self._room.id)

    def topic(
        self, name: str, kind: type[AsyncTopic[Any]], *, persist: bool | None = None, ttl_ms: int | None = None
    ) -> Topic:
        """A handle to a topic; the options count if the room does not have it yet."""
        return Topic(self, self.ask(lambda: self._room.topic(name, kind, persist=persist, ttl_ms=ttl_ms)))

    def action(self, name: str, build: Callable[[Callable[[Any], Any]], Any], timeout: float | None = 10) -> Accepted:
        """Several changes that are carried out together or not at all."""

        async def made() -> Accepted:
            return await self._room.action(name, lambda tx: build(lambda topic: tx(topic._topic)))

        return self.wait(made(), timeout)

    def undo(self) -> None:
        self.ask(self._room.undo)

    def redo(self) -> None:
        self.ask(self._room.redo)

    def call(
        self,
        service_name: str,
        args: Any = None,
        timeout: float = 10,
        progress: Callable[[Any], object] | None = None,
    ) -> Any:
        """Calls a service and gives its answer; ``progress`` is called on the client's thread."""
        return self.wait(self._room.call(service_name, args, timeout=timeout, progress=progress), timeout + 1)

    def commits(self, topic_name: str | None = None, *, before: int | None = None, limit: int = 100) -> CommitPage:
        """What was committed, the newest first, as far as the server keeps it."""
        return self.wait(self._room.commits(topic_name, before=before, limit=limit))

    def value_at(self, topic_name: str, sequence: int) -> Any:
        """The value that a topic had when the room stood at that sequence."""
        return self.wait(self._room.value_at(topic_name, sequence))

    def provide(self, service_name: str, handler: Handler, timeout: float | None = 10) -> None:
        """Offers a service; the handler runs on the client's thread."""
        self.wait(self._room.provide(service_name, handler), timeout)

    def close(self) -> None:
        """Ends the client and its thread."""
        if self._thread.is_alive():
            self.wait(self._room.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
