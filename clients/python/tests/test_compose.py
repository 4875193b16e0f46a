"""Edits of a text that join: what they do together is what they do in turn (M48)."""

from __future__ import annotations

import random
import unittest
from typing import Any

from chatroom.change import Value
from chatroom.replica import Replica
from chatroom.transform import canonical_edit, compose_edits

LETTERS = "abé\u0301😀🏳\U0010ffff"


def edit(random: random.Random, length: int) -> list[dict[str, Any]]:
    """A canonical edit of a text of so many characters."""
    components: list[dict[str, Any]] = []
    while length or not components:
        step = random.randrange(4)
        if step == 0:
            components.append({"insert": "".join(random.choices(LETTERS, k=random.randint(1, 3)))})
        count = min(length, random.randint(1, 4))
        if count:
            components.append({"delete" if step == 1 else "retain": count})
        length -= count
        if random.random() < 0.1:
            break
    return canonical_edit(components)


def apply(text: str, components: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The text after an edit, and the exact way back."""
    value = Value.load("string", text)
    back = value.apply({"type": "edit", "components": components})
    return value.show(), back["components"] if back else []


class Joining(unittest.TestCase):
    def test_together_as_in_turn(self) -> None:
        rng = random.Random(48)
        for number in range(3000):
            with self.subTest(number):
                before = "".join(rng.choices(LETTERS, k=rng.randrange(12)))
                first = edit(rng, len(before))
                middle, first_back = apply(before, first)
                following = edit(rng, len(middle))
                after, back = apply(middle, following)
                both = compose_edits(first, following)
                self.assertEqual(apply(before, both)[0], after)
                self.assertEqual(both, canonical_edit(both))
                both_back = compose_edits(back, first_back)
                self.assertEqual(apply(after, both_back)[0], before)
                self.assertEqual(both_back, canonical_edit(both_back))
                self.assertEqual(both_back, apply(before, both)[1])

    def test_joined_actions_have_one_outcome(self) -> None:
        replica = Replica()
        replica.open("t", "string")
        replica.receive({"type": "hello", "content": {"id": 1, "session": {"id": 1, "secret": "s"}}})
        replica.asking()
        loaded = {"topic_name": "t", "type": "string", "value": "😀", "sequence": 3}
        replica.receive({"type": "subscribed", "content": loaded})
        for place, letter in enumerate("abc"):
            replica.act(
                [("t", {"type": "edit", "components": [{"retain": 1 + place}, {"insert": letter}]})], now_ms=place
            )
        self.assertEqual((replica.unsaved, replica.value("t"), replica.confirmed("t")), (3, "😀abc", "😀"))
        push = replica.push()
        assert push is not None
        self.assertEqual(len(push["content"]["actions"]), 1)
        replica.receive({"type": "accepted", "content": {"id": 1, "sequence": 4, "previous": [3]}})
        self.assertEqual([(it.action, it.sequence) for it in replica.settled], [(1, 4), (2, 4), (3, 4)])
        self.assertEqual((replica.unsaved, replica.confirmed("t")), (0, "😀abc"))


if __name__ == "__main__":
    unittest.main()
