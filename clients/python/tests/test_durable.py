"""What a server keeps outlives it, and a client outlives its program."""

from __future__ import annotations

import asyncio
import json
import tempfile
import unittest

from chatroom import CallError, ChatroomError, Client, Int, Rejected, Text, sync

from .server import Server


class Durable(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = folder.name

    def server(self) -> Server:
        server = Server(self.data)
        self.addCleanup(server.stop)
        return server

    async def test_a_server_that_is_killed_and_a_program_that_ends(self) -> None:
        first = self.server()
        async with Client(first.url) as room:
            score, text = room.topic("score", Int), room.topic("text", Text)
            await score.loaded()
            await text.loaded()
            await score.add(1)
            await text.insert(0, "ab")
            who = room.id
            first.stop()
            # Nobody hears of these before the program ends.
            for _ in range(10):
                score.add(1)
            text.insert(2, "\U0001f600c")
            saved = json.loads(json.dumps(room.save()))

        second = self.server()
        refused: list[ChatroomError] = []
        again = Client(second.url, saved=saved)
        again.notices.append(refused.append)
        score, text = again.topic("score", Int), again.topic("text", Text)
        self.assertEqual((score.value, text.value), (11, "ab\U0001f600c"), "the values are there at once")
        self.assertEqual(again.unsaved, 11)
        async with again, Client(second.url) as other:
            await asyncio.wait_for(again.until(lambda: again.unsaved == 0), 10)
            self.assertEqual(again.id, who, "it is who it was")
            seen, read = other.topic("score", Int), other.topic("text", Text)
            self.assertEqual((await seen.loaded(), await read.loaded()), (11, "ab\U0001f600c"))
            await score.add(1)
            self.assertEqual(refused, [])

    def test_a_saved_session_that_nobody_wrote(self) -> None:
        for saved, code in (({"version": 2}, "unsupported"), ({"version": 1}, "bad_type")):
            with self.assertRaises(ChatroomError) as raised:
                Client("ws://127.0.0.1:1", saved=saved)  # type: ignore[arg-type]
            self.assertEqual(raised.exception.code, code)

    async def test_the_past(self) -> None:
        async with Client(self.server().url) as room:
            text, score = room.topic("text", Text), room.topic("score", Int)
            await text.loaded()
            await score.loaded()
            written = []
            for word in ("one", " two", " three"):
                written.append((await text.insert(len(text.value), word)).sequence)
                await score.add(1)
            await text.set("")
            page = await room.commits("text", limit=2)
            self.assertEqual([commit["sequence"] for commit in page["commits"]], [written[2] + 2, written[2]])
            rest = await room.commits("text", before=page["next"])
            self.assertEqual([commit["sequence"] for commit in rest["commits"]], [written[1], written[0]])
            self.assertIsNone(rest["next"])
            self.assertEqual(rest["commits"][0]["by"], room.id)
            found = [await room.value_at("text", at) for at in written]
            self.assertEqual(found, ["one", "one two", "one two three"])
            with self.assertRaises(CallError):
                await room.value_at("nobody", 1)
            await text.set(await room.value_at("text", written[1]))
            self.assertEqual(text.confirmed, "one two")
            self.assertTrue(room.can_undo, "to restore is a change like others")

    def test_the_past_without_an_event_loop(self) -> None:
        with sync.Client(self.server().url) as room:
            score = room.topic("score", Int)
            at = score.do("add", 1).sequence
            score.do("add", 1)
            self.assertEqual(room.value_at("score", at), 1)
            self.assertEqual(len(room.commits("score")["commits"]), 2)
            with self.assertRaises(Rejected):
                score.do("add", 0.5)


if __name__ == "__main__":
    unittest.main()
