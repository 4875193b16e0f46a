"""The text in pieces against Python's own."""

from __future__ import annotations

import random
import unittest

from chatroom.text import PIECE_MAX, Text


class Pieces(unittest.TestCase):
    def test_as_a_string_is(self) -> None:
        rng = random.Random(1)
        expected = "".join(rng.choices("ab😀", k=5 * PIECE_MAX))
        text = Text(expected)
        for step in range(2000):
            at = rng.randint(0, len(expected))
            most = 3 * PIECE_MAX if step % 100 == 0 else 5
            count = rng.randint(0, min(most, len(expected) - at))
            insertion = "".join(rng.choices("cd🏳", k=rng.randint(0, most)))
            self.assertEqual(text.slice(at, count), expected[at : at + count])
            self.assertEqual(text.splice(at, count, insertion), expected[at : at + count])
            expected = expected[:at] + insertion + expected[at + count :]
            self.assertEqual((len(text), str(text)), (len(expected), expected))
        text.splice(0, len(expected), "")
        self.assertEqual((len(text), str(text)), (0, ""))


if __name__ == "__main__":
    unittest.main()
