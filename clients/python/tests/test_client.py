"""The client against a real server: the executable that ``CHATROOM_BINARY`` names."""

from __future__ import annotations

import asyncio
import unittest
from typing import Any

from chatroom import (
    Call,
    CallError,
    ChatroomError,
    Client,
    Dict,
    Event,
    Hz,
    Int,
    List,
    Presence,
    Rejected,
    ServiceError,
    Text,
    sync,
)

from .server import Server


class Link:
    """A line to the server that a test can cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def __aenter__(self) -> Link:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        await asyncio.gather(copy(reader, back), copy(there, writer))

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Clients(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.port, self.url = self.server.port, self.server.url

    def tearDown(self) -> None:
        self.server.stop()

    async def both(self, *conditions: Any) -> None:
        for room, condition in conditions:
            await asyncio.wait_for(room.until(condition), 10)

    async def reached(self, room: Client, condition: Any) -> None:
        while not condition():
            await room.call("_chatroom/time")

    async def test_changes_show_at_once_and_reach_the_other(self) -> None:
        async with Client(self.url) as one, Client(self.url) as other:
            score, seen = one.topic("score", Int), other.topic("score", Int)
            await score.loaded()
            await seen.loaded()
            action = score.add(2)
            self.assertEqual((score.value, score.confirmed, one.unsaved), (2, 0, 1))
            self.assertTrue((await action).effect)
            self.assertEqual((score.confirmed, one.unsaved), (2, 0))
            await self.both((other, lambda: seen.value == 2))
            with self.assertRaises(Rejected) as raised:
                await score.add(2**53)
            self.assertEqual(raised.exception.code, "out_of_range")

    async def test_two_type_at_once(self) -> None:
        async with Client(self.url) as one, Client(self.url) as other:
            mine, theirs = one.topic("text", Text), other.topic("text", Text)
            await mine.loaded()
            await theirs.loaded()
            for letter in "hello":
                mine.insert(len(mine.value), letter)
                theirs.insert(0, letter.upper())
            await self.both((one, lambda: one.unsaved == 0), (other, lambda: other.unsaved == 0))
            await self.both((one, lambda: len(mine.value) == 10), (other, lambda: mine.value == theirs.value))
            self.assertEqual(sorted(mine.value), sorted("helloHELLO"))

    async def test_an_action_over_topics_and_its_undoing(self) -> None:
        async with Client(self.url) as room:
            score, cards = room.topic("score", Int), room.topic("cards", List)
            await score.loaded()
            await cards.loaded()
            await cards.set(["a", "b"])
            await room.action("take", lambda tx: (tx(score).add(1), tx(cards).pop(-1)))
            self.assertEqual((score.value, cards.value), (1, ["a"]))
            room.undo()
            self.assertEqual((score.value, cards.value), (0, ["a", "b"]))
            await room.until(lambda: room.unsaved == 0)
            self.assertTrue(room.can_redo)
            room.redo()
            await room.until(lambda: room.unsaved == 0)
            self.assertEqual((score.confirmed, cards.confirmed), (1, ["a"]))

    async def test_thirty_cuts_cost_nothing(self) -> None:
        async with Link(self.port) as link, Client(link.url) as room, Client(self.url) as other:
            score, who = room.topic("score", Int), room.topic("who", Presence)
            seen = other.topic("who", Presence)
            await score.loaded()
            await who.loaded()
            await seen.loaded()
            await who.put("me")
            me = room.id
            actions = []
            for _ in range(30):
                actions += [score.add(1) for _ in range(5)]
                before = room.connections
                link.cut()
                await asyncio.wait_for(room.until(lambda before=before: room.connections > before), 10)  # type: ignore[misc]
            for action in actions:
                await asyncio.wait_for(action, 10)
            self.assertEqual((score.confirmed, room.unsaved, room.id), (150, 0, me))
            self.assertEqual(room.replica.gaps, [])
            await self.both((other, lambda: seen.others == {str(me): "me"}))

    async def test_services(self) -> None:
        async with Client(self.url) as provider, Client(self.url) as caller:

            async def double(args: Any) -> Any:
                if args < 0:
                    raise ServiceError(1001, "too low", {"lowest": 0})
                return args * 2

            await provider.provide("double", double)
            self.assertEqual(await caller.call("double", 21, timeout=5), 42)
            with self.assertRaises(CallError) as raised:
                await caller.call("double", -1)
            self.assertEqual((raised.exception.number, raised.exception.data), (1001, {"lowest": 0}))
            with self.assertRaises(CallError) as raised:
                await caller.call("nobody")
            self.assertEqual(raised.exception.code, "no_provider")

    async def test_a_provider_says_how_far_it_is(self) -> None:
        async with Client(self.url) as provider, Client(self.url) as caller:
            calls: list[Call] = []

            async def count(args: Any, call: Call) -> Any:
                calls.append(call)
                for step in range(args):
                    call.progress({"done": step})
                    await asyncio.sleep(0)
                return "all"

            await provider.provide("count", count)
            told: list[Any] = []
            notices: list[Any] = []
            provider.notices.append(notices.append)
            caller.notices.append(notices.append)
            self.assertEqual(await caller.call("count", 3, timeout=5, progress=told.append), "all")
            self.assertEqual(told, [{"done": step} for step in range(3)])
            self.assertEqual(calls[0].by, caller.id)
            self.assertLessEqual(calls[0].timeout or 6, 5)
            # Who does not ask is not told, and what comes late is nobody's.
            self.assertEqual(await caller.call("count", 1), "all")
            calls[0].progress("late")
            with self.assertRaises(ChatroomError):
                calls[0].progress(object())
            self.assertEqual(await caller.call("count", 1, progress=[].index), "all")
            self.assertEqual([error.code for error in notices], ["internal"])

    async def test_who_does_not_wait_any_more_ends_the_call(self) -> None:
        async with Client(self.url) as provider, Client(self.url) as caller:
            began, ended = asyncio.Event(), asyncio.Event()

            async def stay(_: Any) -> None:
                began.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

            await provider.provide("stay", stay)
            call = asyncio.create_task(caller.call("stay"))
            await asyncio.wait_for(began.wait(), 10)
            call.cancel()
            await asyncio.wait_for(ended.wait(), 10)

    async def test_listeners_are_called_in_order_and_may_await(self) -> None:
        async with Client(self.url) as room:
            score, shots = room.topic("score", Int), room.topic("shots", Event)
            await score.loaded()
            await shots.loaded()
            told: list[Any] = []

            async def first(update: Any) -> None:
                told.append((update.cause, update.value))
                if update.cause == "local":
                    await room.call("_chatroom/time")

            off = score.on(first)
            shots.on(lambda update: told.append(update.args))
            await score.add(1)
            await shots.emit("bang")
            await asyncio.wait_for(room.until(lambda: len(told) == 3), 10)
            self.assertEqual([told[1][0], told[2]], ["local", "bang"])
            off()

    async def test_listeners_choose_how_much_they_are_told(self) -> None:
        async with Client(self.url) as room:
            score = room.topic("score", Int)
            await score.loaded()
            every: list[Any] = []
            latest: list[Any] = []
            paced: list[Any] = []
            score.on(lambda update: every.append(update.cause))
            score.on(lambda update: latest.append(update.value), "latest")
            score.on(lambda update: paced.append(update.value), Hz(5))
            for _ in range(20):
                score.add(1)
            await asyncio.wait_for(self.reached(room, lambda: score.confirmed == 20 and paced[-1:] == [20]), 10)
            self.assertEqual((len(every), latest[-1], paced[-1]), (21, 20, 20))
            self.assertLess(len(latest), 20)
            self.assertLessEqual(len(paced), 3)

    async def test_what_is_done_before_the_first_connection(self) -> None:
        room = Client(self.url)
        entries = room.topic("entries", Dict)
        action = entries.put("a", 1)
        room.start()
        await asyncio.wait_for(action, 10)
        self.assertEqual(entries.confirmed, {"a": 1})
        await room.close()
        with self.assertRaises(Rejected) as raised:
            await entries.put("b", 2)
        self.assertEqual(raised.exception.code, "closed")


class Synchronous(unittest.TestCase):
    def test_without_an_event_loop(self) -> None:
        clients = Clients()
        clients.setUp()
        try:
            with sync.Client(clients.url) as room, sync.Client(clients.url) as other:
                score, cards = room.topic("score", Int), room.topic("cards", List)
                score.loaded()
                cards.loaded()
                told: list[Any] = []
                off = score.on(lambda update: told.append(update.value))
                self.assertTrue(score.do("add", 2).effect)
                room.action("deal", lambda tx: (tx(score).add(1), tx(cards).append("ace")))
                self.assertEqual((score.value, score.confirmed, cards.value, room.unsaved), (3, 3, ["ace"], 0))
                room.undo()
                self.assertEqual((score.value, cards.value), (2, []))
                room.provide("double", lambda args: args * 2)
                self.assertEqual(other.call("double", 4), 8)
                room.provide("walk", lambda args, call: call.progress(args))
                walked: list[Any] = []
                other.call("walk", "half", progress=walked.append)
                self.assertEqual(walked, ["half"])
                with self.assertRaises(Rejected):
                    score.do("add", 2**60)
                self.assertIn(3, told)
                off()
        finally:
            clients.tearDown()


if __name__ == "__main__":
    unittest.main()
