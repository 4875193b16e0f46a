"""The outcome of a change or of several together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass

from .code import Rejected


@dataclass(frozen=True)
class Accepted:
    """The room took the action: its place in the order, and whether it changed anything."""

    sequence: int
    effect: bool = True


class Action:
    """An action on its way. Await it, or leave it: a refusal that nobody awaits goes to ``Client.notices``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ignored: Callable[[Rejected], None]) -> None:
        self._outcome: asyncio.Future[Accepted] = loop.create_future()
        # What nobody awaits is told by the client, not by the event loop.
        self._outcome.add_done_callback(lambda outcome: outcome.exception())
        self._loop = loop
        self._ignored = ignored
        self._awaited = False

    def __await__(self) -> Generator[object, None, Accepted]:
        self._awaited = True
        return self._outcome.__await__()

    def accept(self, accepted: Accepted) -> None:
        """The room took it."""
        if not self._outcome.done():
            self._outcome.set_result(accepted)

    def reject(self, rejected: Rejected) -> None:
        """It was refused. One that is refused at once is awaited a moment later."""
        if not self._outcome.done():
            self._outcome.set_exception(rejected)
            self._loop.call_soon(lambda: None if self._awaited else self._ignored(rejected))
