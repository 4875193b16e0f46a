"""The client: a room that is connected, and goes on where it was when the connection breaks."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from .action import Accepted, Action
from .code import NAMES, ChatroomError, Rejected
from .codec import decode, encode
from .past import CommitPage
from .replica import Replica
from .saved import Saved
from .service import Handler, Services
from .session import Maker
from .topic import Deliver, Hz, Listener, Topic, Update
from .transform import Change

V1 = Subprotocol("chatroom.v1.json")
BACKOFF_S = (0.05, 5.0)
HELLO_S = 10.0
AnyTopic = TypeVar("AnyTopic", bound=Topic[Any])
Notice = Callable[[ChatroomError], None]


class Client:
    """A room. ``async with Client("ws://localhost:8765") as room: ...``"""

    def __init__(
        self, url: str, *, token: Callable[[], Awaitable[str]] | None = None, saved: Saved | None = None
    ) -> None:
        self.url = url
        self.state = "connecting"
        self.replica = Replica()
        # Topics of a saved session, kept until what was saved with them has its outcome.
        self._restored: list[str] = []
        self.present: dict[str, Any] = {}
        self.notices: list[Notice] = []
        self.connections = 0
        self._token = token
        self._socket: ClientConnection | None = None
        self._actions: dict[int, Action] = {}
        self._services = Services(self._say, self._flush, self._notice)
        self._handles: dict[str, int] = {}
        self._listeners: dict[str, list[tuple[Topic[Any], Listener]]] = {}
        self._streams: list[asyncio.Queue[Update | None]] = []
        self._updates: deque[tuple[Listener, Update]] = deque()
        self._group: int | None = None
        self._groups = 0
        self._said: list[str] = []
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._dispatch = asyncio.Event()
        if saved is not None:
            self.replica.restore(saved)
            self._restored = list(self.replica.mirrors)
            self._handles.update(dict.fromkeys(self._restored, 1))

    def save(self) -> Saved:
        """What this client is made of, for ``Client(url, saved=...)`` in the next run of the program.

        The session, the values of its topics, and its actions without an outcome, which are sent again under the
        same numbers and count once; refusals of those go to ``notices``. Actions that wait for a value, and what
        can be undone, are not in it. To be kept as JSON, as secret as a password.
        """
        return self.replica.save()

    async def __aenter__(self) -> Client:
        self.start()
        await self.online()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @classmethod
    async def connect(cls, url: str) -> Client:
        """A client that is online."""
        return await cls(url).__aenter__()

    def start(self) -> None:
        """Begins to connect, and goes on until the client is closed."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tell())]

    async def online(self) -> None:
        """Waits for a connection; raises when the client was closed."""
        await self.until(lambda: self.state in ("online", "closed"))
        if self.state == "closed":
            raise ChatroomError("closed", "the client was closed")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something holds that depends on the connection, a topic or an outcome."""
        while not condition() and self.state != "closed":
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Ends the client for ever: whatever waits is refused with ``closed``."""
        self._become("closed")
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            await self._socket.close()
        for action in self._actions.values():
            action.reject(Rejected("closed", "the client was closed", maybe_executed=True))
        self._services.close()
        for queue in self._streams:
            queue.put_nowait(None)

    @property
    def id(self) -> int | None:
        """This client's id in the room, while it is online."""
        return self.replica.client if self.replica.online else None

    @property
    def unsaved(self) -> int:
        """How many own actions have no outcome yet: what would be lost if the program ended now."""
        return self.replica.unsaved

    # Topics.

    def topic(
        self, name: str, kind: type[AnyTopic], *, persist: bool | None = None, ttl_ms: int | None = None
    ) -> AnyTopic:
        """A handle to a topic: ``room.topic("score", Int)``.

        The options count if the room does not have the topic yet: whether a server that keeps rooms keeps it, and
        how long after its last subscriber has left it is deleted.
        """
        options = {"persist": persist, "ttl_ms": ttl_ms}
        if options := {key: value for key, value in options.items() if value is not None}:
            self.replica.options[name] = options
        self.replica.open(name, kind.kind)
        self._handles[name] = self._handles.get(name, 0) + 1
        self._flush()
        return kind(self, name)

    def release(self, name: str) -> None:
        """Gives a handle back."""
        self._handles[name] = self._handles.get(name, 1) - 1
        if self._handles[name] <= 0:
            del self._handles[name]
            self._listeners.pop(name, None)
            self.replica.release(name)
            self._flush()

    def listen(
        self,
        topic: Topic[Any],
        listener: Listener,
        *,
        deliver: Deliver = "every",
        stream: asyncio.Queue[Update | None] | None = None,
    ) -> Callable[[], None]:
        """Calls a function with every update of a topic; functions are called one after the other."""
        pace = _Paced(self, listener, deliver) if deliver != "every" and topic.kind != "event" else None
        entry: tuple[Topic[Any], Listener] = (topic, listener if pace is None else pace.hear)
        self._listeners.setdefault(topic.name, []).append(entry)
        if stream is not None:
            self._streams.append(stream)
        if topic.kind != "event" and topic.status in ("live", "stale"):
            self._updates.append((entry[1], Update(topic, "snapshot", [], 0, 0)))
            self._dispatch.set()

        def off() -> None:
            if pace is not None:
                pace.end()
            with contextlib.suppress(KeyError, ValueError):
                self._listeners[topic.name].remove(entry)
            if stream in self._streams:
                self._streams.remove(stream)

        return off

    def tell(self, listener: Listener, update: Update) -> None:
        """Calls a function when its turn has come."""
        self._updates.append((listener, update))
        self._dispatch.set()

    # Actions and undo.

    def act(self, parts: list[tuple[str, Change | Maker]], *, tracked: bool = True) -> Action:
        """Makes an action of changes; see ``action`` for the comfortable way."""
        action = Action(asyncio.get_running_loop(), self._notice)
        try:
            if self.state == "closed":
                raise ChatroomError("closed", "the client was closed")
            now_ms = int(time.monotonic() * 1000)
            number = self.replica.act(parts, now_ms=now_ms, tracked=tracked, group=self._group)
        except ChatroomError as error:
            change = next((change for _, change in parts if not callable(change)), None)
            action.reject(Rejected(error.code, error.reason, topic_name=parts[0][0] if parts else "", change=change))
            return action
        self._actions[number] = action
        self._flush()
        return action

    def action(
        self, name: str, build: Callable[[Callable[[AnyTopic], AnyTopic]], Any], *, tracked: bool = True
    ) -> Action:
        """Several changes that are carried out together or not at all; ``name`` is for whoever reads the program.

        ``await room.action("take a card", lambda tx: (tx(score).add(1), tx(cards).pop()))``
        """
        parts: list[tuple[str, Change | Maker]] = []

        def record(topic: str, change: Change | Maker) -> None:
            parts.append((topic, change))

        def bound(topic: AnyTopic) -> AnyTopic:
            return type(topic)(self, topic.name, record)

        build(bound)
        return self.act(parts, tracked=tracked)

    def undo(self) -> None:
        """Takes back the effect of one's last action, and nothing that others wrote since."""
        self.replica.undo()
        self._flush()

    def redo(self) -> None:
        """Does again what was undone last."""
        self.replica.redo()
        self._flush()

    @property
    def can_undo(self) -> bool:
        return self.replica.can("undo")

    @property
    def can_redo(self) -> bool:
        return self.replica.can("redo")

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """Actions made within are undone together, as those of a drag."""
        self._groups += 1
        self._group = self._groups
        try:
            yield
        finally:
            self._group = None

    # Services.

    async def call(
        self,
        service_name: str,
        args: Any = None,
        *,
        timeout: float | None = None,
        progress: Callable[[Any], object] | None = None,
    ) -> Any:
        """Calls a service of another client and gives its answer; raises ``CallError``.

        ``progress`` is called with each report of how far the provider is, before the answer.
        """
        return await self._services.call(service_name, args, timeout, progress)

    async def commits(
        self, topic_name: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> CommitPage:
        """What was committed, the newest first, as far as the server keeps it; of one topic, if that is named.

        ``before`` is a sequence, such as ``next`` of the page before.
        """
        args = {"topic_name": topic_name, "before": before, "limit": limit}
        return cast(CommitPage, await self.call("_chatroom/history", {k: v for k, v in args.items() if v is not None}))

    async def value_at(self, topic_name: str, sequence: int) -> Any:
        """The value that a topic had when the room stood at that sequence; ``topic.set(value)`` restores it."""
        return (await self.call("_chatroom/get", {"topic_name": topic_name, "at": sequence}))["value"]

    async def provide(self, service_name: str, handler: Handler) -> None:
        """Offers a service: ``handler(args)`` answers, or raises ``ServiceError``.

        A handler with a second parameter is given the ``Call``, whose ``progress`` tells the caller how far it is.
        """
        await self._services.provide(service_name, handler)

    def withdraw(self, service_name: str) -> None:
        """No longer offers a service."""
        self._services.withdraw(service_name)

    # The connection.

    async def _run(self) -> None:
        delay = BACKOFF_S[0]
        while self.state != "closed":
            try:
                async with open_socket(self.url, subprotocols=[V1], max_size=None, open_timeout=HELLO_S) as socket:
                    await self._greet(socket)
                    delay = BACKOFF_S[0]
                    await self._exchange(socket)
            except (OSError, WebSocketException, asyncio.TimeoutError, ValueError, ChatroomError) as error:
                reason = str(error)
                closed = error.rcvd if isinstance(error, ConnectionClosed) else None
                if closed is not None and NAMES.get(closed.code - 4000) == "replaced":
                    self._notice(ChatroomError("replaced", reason))
                    self._become("closed")
            self._lost()
            await asyncio.sleep(delay * (0.5 + random.random()))
            delay = min(delay * 2, BACKOFF_S[1])

    async def _greet(self, socket: ClientConnection) -> None:
        hello = self.replica.hello()
        if self._token is not None:
            hello = {**hello, "token": await self._token()}
        await socket.send(encode({"type": "hello", "content": hello}))
        answer = decode(await asyncio.wait_for(socket.recv(), HELLO_S))
        if answer["type"] != "hello":
            raise ValueError(f"the server answered the hello with {answer['type']}")
        self.replica.receive(answer)
        self._socket = socket
        self.connections += 1
        self._said = []
        self._services.online()
        for name, value in self.present.items():
            self.replica.act([(name, {"type": "put", "value": value})], now_ms=0, tracked=False)
        self._become("online")
        self._flush()

    async def _exchange(self, socket: ClientConnection) -> None:
        writing = asyncio.create_task(self._write(socket))
        try:
            async for text in socket:
                self._heard(decode(text))
        finally:
            writing.cancel()

    async def _write(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                said, self._said = self._said, []
                for text in said:
                    await socket.send(text)
                if not self._said:
                    self._wake.clear()
                    await self._wake.wait()

    def _lost(self) -> None:
        if self._socket is None:
            return
        self._socket = None
        self.replica.disconnect()
        self._services.offline()
        if self.state != "closed":
            self._become("offline")
        self._flush()

    def _become(self, state: str) -> None:
        if self.state != "closed":
            self.state = state
        self._changed.set()

    def _say(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            self._said.append(encode(message))
            self._wake.set()

    def _flush(self) -> None:
        """Says what there is to say, and tells what there is to tell."""
        if self._socket is not None:
            for message in self.replica.asking():
                self._say(message)
            while (push := self.replica.push()) is not None:
                self._say(push)
            self._services.send()
        settled, self.replica.settled = self.replica.settled, []
        for outcome in settled:
            action = self._actions.pop(outcome.action, None)
            if outcome.rejected is None:
                if action is not None:
                    action.accept(Accepted(outcome.sequence, outcome.effect))
            elif action is not None:
                action.reject(outcome.rejected)
            elif outcome.rejected.code != "cancelled":
                self._notice(outcome.rejected)
        told, self.replica.told = self.replica.told, []
        for news in told:
            for topic, listener in self._listeners.get(news.topic_name, []):
                update = Update(topic, news.cause, news.changes, news.sequence, news.by)
                self._updates.append((listener, update))
        if self._updates:
            self._dispatch.set()
        self._changed.set()

    def _heard(self, message: dict[str, Any]) -> None:
        content = message["content"]
        about = content.get("in_reply_to", {}).get("type") if message["type"] == "error" else None
        if not self._services.receive(message) and message["type"] == "error" and about != "subscribe":
            self._notice(ChatroomError(NAMES.get(content["code"], "unknown"), content["reason"]))
        self.replica.receive(message)
        if self._restored and not self.replica.is_resuming:
            # Nothing is pending on these any more, and what was missed is there.
            restored, self._restored = self._restored, []
            for name in restored:
                if self.replica.mirrors[name].own:
                    self._restored.append(name)
                else:
                    self.release(name)
        self._flush()

    async def _tell(self) -> None:
        """Calls listeners one after the other; what one of them causes is told after the round."""
        while True:
            while self._updates:
                listener, update = self._updates.popleft()
                try:
                    result = listener(update)
                    if inspect.isawaitable(result):
                        await result
                except Exception as error:  # one listener stops no other
                    self._notice(ChatroomError("internal", f"a listener of {update.topic.name} failed: {error!r}"))
            self._dispatch.clear()
            await self._dispatch.wait()

    def _notice(self, error: ChatroomError) -> None:
        for notice in self.notices:
            notice(error)


class _Paced:
    """Keeps the newest update for a function until its turn has come."""

    def __init__(self, room: Client, listener: Listener, deliver: Deliver) -> None:
        self._room = room
        self._listener = listener
        self._pause = 1 / deliver.per_second if isinstance(deliver, Hz) else 0.0
        self._waiting: Update | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def hear(self, update: Update) -> None:
        self._waiting = update
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._next), self._due)

    def _due(self) -> None:
        self._timer = None
        self._next = asyncio.get_running_loop().time() + self._pause
        update, self._waiting = self._waiting, None
        if update is not None:
            self._room.tell(self._listener, update)

    def end(self) -> None:
        self._waiting = None
        if self._timer is not None:
            self._timer.cancel()
