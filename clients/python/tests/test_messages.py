"""The vectors of ``conformance/messages`` and ``conformance/sessions``, as far as they are a client's matter."""

from __future__ import annotations

import asyncio
import json
import unittest
from typing import Any

from chatroom import CODES, Client, Topic
from chatroom.code import NAMES, ChatroomError
from chatroom.codec import decode, encode

from .server import Server
from .test_vectors import cases, repeated


def named(value: Any, ids: dict[str, int]) -> Any:
    """A message that a script expects, with something in the place of each matcher."""
    if isinstance(value, dict):
        return {key: named(item, ids) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, ids) for item in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    kind, _, name = value.partition(":")
    if kind == "$id":
        return ids.setdefault(name, len(ids) + 1)
    return {"$int": 7, "$string": "s", "$any": {}, "$code": CODES.get(name), "$reason": f"{name}: why"}[kind]


class Messages(unittest.IsolatedAsyncioTestCase):
    async def test_messages(self) -> None:
        """What cannot be read is not followed; of anything else the server's answer has a name here, and the
        connection goes on."""
        server = Server()
        self.addCleanup(server.stop)
        ran = 0
        async with Client(server.url) as room:
            heard: list[dict[str, Any]] = []
            take = room._heard

            def hear(message: dict[str, Any]) -> None:
                heard.append(message)
                take(message)

            room._heard = hear  # type: ignore[method-assign]
            for case in cases("messages"):
                if case.get("dialect") != "v1" or ("code" not in case and "ok" not in case):
                    continue
                ran += 1
                text = repeated(case["repeat"]) if "repeat" in case else case["text"]
                with self.subTest(case["id"]):
                    if case.get("code") == "malformed":
                        with self.assertRaises(ChatroomError) as raised:
                            decode(text)
                        self.assertEqual(raised.exception.code, "malformed")
                        continue
                    if "ok" in case:
                        self.assertEqual(decode(encode(decode(text))), json.loads(text))
                    heard.clear()
                    room._said.append(text)
                    await asyncio.wait_for(room.call("_chatroom/time"), 10)
                    if "code" in case:
                        found = [
                            it["content"].get("code") or it["content"].get("error", {}).get("code") for it in heard
                        ]
                        self.assertIn(case["code"], [NAMES.get(code) for code in found])
            self.assertEqual(room.connections, 1)
        print(f"messages: {ran} run")
        self.assertGreater(ran, 200)

    async def test_sessions(self) -> None:
        """Whatever the server says to a client of v1 in a script is taken: read, told, and followed by no gap."""
        ran = taken = 0
        for script in cases("sessions"):
            followers = {name: Client("ws://nowhere") for name, it in script["clients"].items() if it == "v1"}
            ids: dict[str, int] = {}
            for name, room in followers.items():
                ids[name] = len(ids) + 1
                hello = {"id": ids[name], "limits": {}, "session": {"id": ids[name], "secret": "s"}}
                room.replica.receive({"type": "hello", "content": hello})
            for step in script["steps"]:
                room_or_none = followers.get(step.get("client", ""))
                if room_or_none is None:
                    continue
                sent = step.get("send", {})
                if sent.get("type") == "subscribe" and isinstance(sent.get("content", {}).get("topic_name"), str):
                    name = named(sent["content"]["topic_name"], ids)
                    if name not in room_or_none._handles:
                        room_or_none.topic(name, Topic)
                        room_or_none.replica.mirrors[name].declared = None
                        room_or_none.replica.mirrors[name].kind = None
                        room_or_none.replica.asking()
                for expected in [step["expect"]] if "expect" in step else step.get("expect_all", []):
                    if not isinstance(expected, dict):
                        continue
                    message = decode(encode(named(expected, ids)))
                    with self.subTest(script["id"], message=message):
                        room_or_none._heard(message)
                        taken += 1
            for room in followers.values():
                await room.close()
            ran += 1
        print(f"sessions: {ran} run, {taken} messages taken")
        self.assertGreater(taken, 1000)


if __name__ == "__main__":
    unittest.main()
