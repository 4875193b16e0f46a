"""The value of a string topic: text in pieces, so that a keystroke costs the keystroke."""

from __future__ import annotations

from collections.abc import Iterable

# A piece is cut when it is longer, and joined to its neighbour when it is shorter.
PIECE_MAX = 4096
PIECE_MIN = 512


class Text:
    """Text whose positions are code points, as Python's are."""

    __slots__ = ("_found", "_length", "_pieces")

    def __init__(self, text: str = "") -> None:
        self._pieces = [text[at : at + PIECE_MAX] for at in range(0, len(text), PIECE_MAX)] or [""]
        self._length = len(text)
        # A piece and where it begins: who types comes back to the same place.
        self._found = (0, 0)

    def __len__(self) -> int:
        return self._length

    def __str__(self) -> str:
        if len(self._pieces) > 1:
            return "".join(self._pieces)
        return self._pieces[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self._length == other._length and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]

    def copy(self) -> Text:
        """Another text of the same pieces."""
        other = Text()
        other._pieces, other._length = self._pieces.copy(), self._length
        return other

    def splice(self, position: int, count: int, insertion: str) -> str:
        """Replaces ``count`` code points by another text; returns what was there."""
        index, offset = self._find(position)
        removed: list[str] = []
        first, last = index, index
        left = count
        while True:
            piece = self._pieces[last]
            taken = piece[offset : offset + left] if last == first else piece[:left]
            removed.append(taken)
            left -= len(taken)
            if left == 0:
                end = (offset if last == first else 0) + len(taken)
                break
            last += 1
        merged = self._pieces[first][:offset] + insertion + self._pieces[last][end:]
        self._length += len(insertion) - count
        self._put(first, last, merged)
        return "".join(removed)

    def slice(self, position: int, count: int) -> str:
        """So many code points from a position on."""
        index, offset = self._find(position)
        parts: list[str] = []
        while count > 0:
            part = self._pieces[index][offset : offset + count]
            parts.append(part)
            count -= len(part)
            index, offset = index + 1, 0
        return "".join(parts)

    def _find(self, position: int) -> tuple[int, int]:
        """The first piece that reaches a position, and the position in it."""
        pieces = self._pieces
        index, begin = self._found
        while index and begin >= position:
            index -= 1
            begin -= len(pieces[index])
        while begin + len(pieces[index]) < position:
            begin += len(pieces[index])
            index += 1
        self._found = (index, begin)
        return index, position - begin

    def _put(self, first: int, last: int, merged: str) -> None:
        if len(merged) < PIECE_MIN and last + 1 < len(self._pieces):
            last += 1
            merged += self._pieces[last]
        pieces: Iterable[str] = [merged]
        if len(merged) > PIECE_MAX:
            size = PIECE_MAX // 2
            pieces = [merged[at : at + size] for at in range(0, len(merged), size)]
        self._pieces[first : last + 1] = pieces
