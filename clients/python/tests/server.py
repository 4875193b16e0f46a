"""A server for tests: the executable that ``CHATROOM_BINARY`` names, on a free port."""

from __future__ import annotations

import os
import re
import subprocess

BINARY = os.environ.get("CHATROOM_BINARY", "target/debug/chatroom")


class Server:
    def __init__(self, data: str | None = None) -> None:
        self._process = subprocess.Popen(
            [BINARY, "serve", *(["--memory"] if data is None else ["--data", data]), "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = 0
        for line in self._process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        self.url = f"ws://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
