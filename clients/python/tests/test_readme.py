"""The programs of the README do what they say, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import unittest
from pathlib import Path
from typing import Any

from chatroom import Client

from .server import Server

ROOT = Path(__file__).parents[3]


def programs(path: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / path).read_text(encoding="utf-8"), re.S | re.M)


class Readme(unittest.TestCase):
    def test_the_programs_run(self) -> None:
        server = Server()
        self.addCleanup(server.stop)
        ran = 0
        told = io.StringIO()
        for path in ("clients/python/README.md", "README.md"):
            for program in programs(path):
                ran += 1
                defined: dict[str, Any] = {"__name__": "program"}
                with contextlib.redirect_stdout(told):
                    exec(compile(program.replace("ws://localhost:8765", server.url), path, "exec"), defined)
                    if "offer" in defined:
                        asyncio.run(self.offer(server.url, defined["offer"]))
        print(f"programs: {ran} run")
        self.assertEqual(ran, 2)
        for line in ("the score is 1 (local)", "42", "{'done': 1, 'picture': 'b.png'}", "2"):
            self.assertIn(line, told.getvalue().splitlines())

    async def offer(self, url: str, offer: Any) -> None:
        async with Client(url) as room:
            await asyncio.wait_for(offer(room), 10)


if __name__ == "__main__":
    unittest.main()
