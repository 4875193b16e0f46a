"""One of three clients of a soak: ``soak.py URL SEED STEPS``. See ``crates/chatroom/tests/soak.rs``."""

from __future__ import annotations

import asyncio
import sys

from chatroom import Client, Dict, Int, List, Text
from chatroom.value import canonical


async def soak(url: str, seed: int, steps: int) -> None:
    state = seed

    def below(bound: int) -> int:
        nonlocal state
        state = (state * 1103515245 + 12345) % 2147483648
        return (state >> 8) % bound

    async with Client(url) as room:
        text, items = room.topic("text", Text), room.topic("list", List)
        entries, total, ended = room.topic("dict", Dict), room.topic("sum", Int), room.topic("ended", Int)
        for topic in (text, items, entries, total, ended):
            await topic.loaded()
        for number in range(steps):
            length, count = len(text.value), len(items.value)
            step, place = below(8), below(1000)
            if step < 2:
                text.insert(place % (length + 1), "😀p")
            elif step == 2 and length:
                text.delete(place % length, 1)
            elif step == 3:
                items.insert(place % (count + 1), f"p{number}")
            elif step == 4 and count:
                items.pop(place % count)
            elif step == 5 and count:
                items.move(place % count, (place >> 3) % count)
            elif step == 6:
                entries.put(f"k{place % 5}", f"p{number}")
            else:
                total.add(place % 9)
            if number % 7 == 0:
                await room.call("_chatroom/time")
            if number % 50 == 49:
                room.undo()
        await room.until(lambda: room.unsaved == 0)
        await ended.add(1)
        await room.until(lambda: ended.confirmed == 3)
        print(canonical({"text": text.value, "list": items.value, "dict": entries.value, "sum": total.value}))


if __name__ == "__main__":
    asyncio.run(soak(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
