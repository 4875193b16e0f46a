"""Services: the functions that this client provides, and the calls that it makes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .code import CODES, NAMES, ChatroomError
from .value import plain

APPLICATION_CODE = 1000

Message = dict[str, Any]
Progress = Callable[[Any], object]


class CallError(ChatroomError):
    """A call ended with an error: of the provider (``number`` from 1000 on) or of the server."""

    def __init__(self, number: int, reason: str, data: Any = None, *, maybe_executed: bool = False) -> None:
        super().__init__(NAMES.get(number, "application"), reason)
        self.number = number
        self.data = data
        self.maybe_executed = maybe_executed


class ServiceError(Exception):
    """What a provider raises to answer with an error of its own; ``number`` is 1000 or more."""

    def __init__(self, number: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.number = number
        self.data = data


@dataclass(frozen=True)
class Call:
    """What a handler is told of a call beside its arguments. A call that its caller gave up is cancelled."""

    by: int
    """The caller's client id."""
    timeout: float | None
    """How many seconds the caller waited still when the call came."""
    report: Progress

    def progress(self, data: Any) -> None:
        """Tells the caller how far it is; nothing happens when nobody waits any more."""
        self.report(data)


Handler = Callable[[Any], Any] | Callable[[Any, Call], Any]


@dataclass
class _Flying:
    service_name: str
    args: Any
    outcome: asyncio.Future[Any]
    timeout_ms: int | None
    progress: Progress | None
    sent: bool = False


class Services:
    """What this client calls and answers; ``say`` sends a message if there is a connection."""

    def __init__(
        self, say: Callable[[Message], None], flush: Callable[[], None], notice: Callable[[ChatroomError], None]
    ) -> None:
        self._say = say
        self._flush = flush
        self._notice = notice
        self._calls: dict[int, _Flying] = {}
        self._next_call = 0
        self._provided: dict[str, Callable[[Any, Call], Any]] = {}
        self._registered: dict[str, asyncio.Future[None]] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}

    async def call(self, service_name: str, args: Any, timeout: float | None, progress: Progress | None) -> Any:
        self._next_call += 1
        number = self._next_call
        timeout_ms = None if timeout is None else int(timeout * 1000)
        call = _Flying(service_name, plain(args), asyncio.get_running_loop().create_future(), timeout_ms, progress)
        self._calls[number] = call
        self._flush()
        try:
            return await asyncio.wait_for(call.outcome, timeout)
        except asyncio.TimeoutError:
            raise CallError(CODES["timeout"], "the deadline passed", maybe_executed=call.sent) from None
        finally:
            del self._calls[number]
            if call.sent and (not call.outcome.done() or call.outcome.cancelled()):
                self._say({"type": "cancel", "content": {"request_id": number}})

    async def provide(self, service_name: str, handler: Handler) -> None:
        self._provided[service_name] = _with_call(handler)
        ready = asyncio.get_running_loop().create_future()
        self._registered[service_name] = ready
        self._register(service_name)
        await ready

    def withdraw(self, service_name: str) -> None:
        if self._provided.pop(service_name, None) is not None:
            self._say({"type": "unregister_service", "content": {"service_name": service_name}})

    def _register(self, service_name: str) -> None:
        self._say({"type": "register_service", "content": {"service_name": service_name}})

    # The connection.

    def online(self) -> None:
        """A connection begins: what is provided is registered anew."""
        for name in self._provided:
            self._register(name)

    def send(self) -> None:
        """Sends the calls that waited for a connection."""
        for number, call in self._calls.items():
            if not call.sent:
                call.sent = True
                timeout = {} if call.timeout_ms is None else {"timeout_ms": call.timeout_ms}
                content = {"service_name": call.service_name, "args": call.args, "request_id": number, **timeout}
                self._say({"type": "request", "content": content})

    def offline(self) -> None:
        """The connection is gone, and with it everyone who waits for an answer."""
        for call in self._calls.values():
            if call.sent and not call.outcome.done():
                lost = CallError(CODES["connection_lost"], "the connection was lost", maybe_executed=True)
                call.outcome.set_exception(lost)
        self._end_answering()

    def close(self) -> None:
        for call in self._calls.values():
            if not call.outcome.done():
                closed = CallError(CODES["closed"], "the client was closed", maybe_executed=call.sent)
                call.outcome.set_exception(closed)
        self._end_answering()

    def _end_answering(self) -> None:
        for task in self._answering.values():
            task.cancel()
        self._answering.clear()

    # What the server says.

    def receive(self, message: Message) -> bool:
        """Takes a message; whether it was about services."""
        content = message["content"]
        match message["type"]:
            case "registered":
                ready = self._registered.pop(content["service_name"], None)
                if ready is not None and not ready.done():
                    ready.set_result(None)
            case "request":
                number = content["request_id"]
                self._answering[number] = asyncio.create_task(self._answer(content))
            case "response":
                self._responded(content)
            case "progress":
                self._progressed(content)
            case "cancel":
                task = self._answering.pop(content["request_id"], None)
                if task is not None:
                    task.cancel()
            case "error":
                return self._failed(content)
            case _:
                return False
        return True

    def _failed(self, content: Message) -> bool:
        about = content.get("in_reply_to", {})
        match about.get("type"):
            case "register_service":
                ready = self._registered.pop(about.get("service_name", ""), None)
                if ready is not None and not ready.done():
                    ready.set_exception(CallError(content["code"], content["reason"]))
            case "request":
                call = self._calls.get(about.get("request_id"))
                if call is None:
                    return False
                if not call.outcome.done():
                    call.outcome.set_exception(CallError(content["code"], content["reason"]))
            # An answer or a cancellation that came too late is nobody's mistake.
            case "cancel" | "response" | "progress":
                return True
            case _:
                return False
        return True

    def _responded(self, content: Message) -> None:
        call = self._calls.get(content["request_id"])
        if call is None or call.outcome.done():
            return
        error = content.get("error")
        if error is None:
            call.outcome.set_result(content["response"])
        else:
            maybe = content.get("maybe_executed", False)
            call.outcome.set_exception(
                CallError(error["code"], error.get("message", ""), error.get("data"), maybe_executed=maybe)
            )

    def _progressed(self, content: Message) -> None:
        call = self._calls.get(content["request_id"])
        if call is None or call.progress is None or call.outcome.done():
            return
        try:
            call.progress(content["data"])
        except Exception as error:  # what is done with a report ends no call
            self._notice(ChatroomError("internal", f"what is told of {call.service_name} failed: {error!r}"))

    async def _answer(self, content: Message) -> None:
        request_id = content["request_id"]
        task = asyncio.current_task()

        def report(data: Any) -> None:
            told = plain(data)
            if self._answering.get(request_id) is task:
                self._say({"type": "progress", "content": {"request_id": request_id, "data": told}})

        waits_ms = content.get("timeout_ms")
        call = Call(content.get("by", 0), None if waits_ms is None else waits_ms / 1000, report)
        answer: Message = {"request_id": request_id}
        try:
            result = self._provided[content["service_name"]](content["args"], call)
            answer["response"] = plain(await result if inspect.isawaitable(result) else result)
        except ServiceError as error:
            answer |= {"response": None, "error": {"code": error.number, "message": str(error), "data": error.data}}
        except Exception as error:  # whatever a handler raises is answered
            reason = f"{type(error).__name__}: {error}"
            answer |= {"response": None, "error": {"code": APPLICATION_CODE, "message": reason}}
        if self._answering.get(request_id) is task:
            del self._answering[request_id]
            self._say({"type": "response", "content": answer})


def _with_call(handler: Any) -> Callable[[Any, Call], Any]:
    """A handler that is given the call, whether it wants it or not."""
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except ValueError:
        parameters = []  # some functions that are not written in Python do not say what they take
    positional = [it for it in parameters if it.kind in (it.POSITIONAL_ONLY, it.POSITIONAL_OR_KEYWORD)]
    if sum(it.default is it.empty for it in positional) >= 2:
        return handler  # type: ignore[no-any-return]
    return lambda args, _: handler(args)
