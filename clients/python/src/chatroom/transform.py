"""How a change reads after another one that was made on the same value.

Section 1 of ``docs/merging.md``. Total: never fails, and never alters what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .value import canonical, equal

Change = dict[str, Any]
Side = Literal["later", "first"]
Component = dict[str, Any]


class Canonical(list[Component]):
    """Components in the one form that equal edits have (M5), which need not be looked at again."""

    __slots__ = ()


def transform(kind: str, a: Change, b: Change, side: Side) -> Change | None:
    """``a`` as it is after ``b``; ``None`` if nothing is left of it."""
    later = side == "later"
    if kind == "string":
        if a["type"] == "set" or b["type"] == "set":
            return _whole(a, b, later)
        edit = transform_edit(components_of(a), components_of(b), later)
        return {"type": "edit", "components": edit} if edit else None
    if kind == "list":
        if a["type"] == "set" or b["type"] == "set":
            return _whole(a, b, later)
        return _positions(a, b, later)
    if kind in ("int", "float"):
        return _number(kind, a, b, later)
    if kind == "set":
        return _set(a, b, later)
    if kind == "dict":
        return _dict(a, b, later)
    if kind == "presence":
        return a if later or a.get("key") != b.get("key") else None
    if kind == "event":
        return a
    return a if later else None


def carry(kind: str, change: Change | None, over: list[Change]) -> tuple[Change | None, list[Change]]:
    """One change goes over what stands before it, and that goes over the change."""
    carried: list[Change] = []
    for other in over:
        if change is None:
            carried.append(other)
            continue
        moved = transform(kind, other, change, "first")
        if moved is not None:
            carried.append(moved)
        change = transform(kind, change, other, "later")
    return change, carried


def rectangle(kind: str, later: Sequence[Change], first: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """Two lists of changes that were made on one value, each as it is after the other."""
    behind: list[Change] = []
    carried = list(first)
    for change in later:
        moved, carried = carry(kind, change, carried)
        if moved is not None:
            behind.append(moved)
    return behind, carried


def _whole(a: Change, b: Change, later: bool) -> Change | None:
    if a["type"] != "set":
        return None
    return a if later or b["type"] != "set" else None


def _number(kind: str, a: Change, b: Change, later: bool) -> Change | None:
    if later or a["type"] == b["type"] == "add":
        return a
    if a["type"] == "add" or b["type"] == "set":
        return None
    total = a["value"] + b["value"]
    if kind == "float" and abs(total) == float("inf"):
        return None
    return {"type": "set", "value": total}


def _set(a: Change, b: Change, later: bool) -> Change | None:
    if later:
        return a
    if b["type"] == "set":
        return None
    if a["type"] == "set":
        items = {canonical(item): item for item in a["value"]}
        if b["type"] == "append":
            items.setdefault(canonical(b["item"]), b["item"])
        else:
            items.pop(canonical(b["item"]), None)
        return {"type": "set", "value": [items[key] for key in sorted(items)]}
    return a if a["type"] == b["type"] or not equal(a["item"], b["item"]) else None


def _dict(a: Change, b: Change, later: bool) -> Change | None:
    if a["type"] == "set":
        if later:
            return a
        return None if b["type"] == "set" else {"type": "set", "value": _applied(a["value"], b)}
    if b["type"] == "set":
        needy = a["type"] in ("change_value", "pop")
        return a if later and not (needy and a["key"] not in b["value"]) else None
    if a["key"] != b["key"]:
        return a
    made = b["type"] in ("add", "ensure")
    match a["type"]:
        case "change_value":
            return None if b["type"] == "pop" else a if later or made else None
        case "pop":
            if b["type"] == "pop":
                return None
            if later or b["type"] == "change_value":
                return a
            return {"type": "put", "key": b["key"], "value": b["value"]} if made else None
        case _:
            if later:
                return a
            return {"type": "put", "key": a["key"], "value": a["value"]} if made else None


def _applied(entries: dict[str, Any], change: Change) -> dict[str, Any]:
    """The entries with a change of one key in them; what would be refused changes nothing."""
    entries, key, there = dict(entries), change["key"], change["key"] in entries
    match change["type"]:
        case "pop":
            entries.pop(key, None)
        case "put":
            entries[key] = change["value"]
        case "change_value" if there:
            entries[key] = change["value"]
        case "add" | "ensure" if not there:
            entries[key] = change["value"]
    return entries


def _positions(a: Change, b: Change, later: bool) -> Change | None:
    """The table of M4."""

    def behind(other: int, gap: int) -> bool:
        return other < gap or (other == gap and not later)

    match a["type"], b["type"]:
        case "insert", "insert":
            at = a["position"]
            return {**a, "position": at + behind(b["position"], at)}
        case "insert", "pop":
            return {**a, "position": a["position"] - (b["position"] < a["position"])}
        case "insert", "move":
            gap = a["position"] - (b["from"] < a["position"])
            return {**a, "position": gap + behind(b["to"], gap)}
        case "insert", _:
            return a
        case (("pop" | "set_item"), "pop") if a["position"] == b["position"]:
            return None
        case "set_item", "set_item" if a["position"] == b["position"]:
            return a if later else None
        case (("pop" | "set_item"), _):
            return {**a, "position": follow(a["position"], b)}
        case "move", "pop" if a["from"] == b["position"]:
            return None
        case "move", "insert":
            gap = b["position"] - (a["from"] < b["position"])
            return {**a, "from": follow(a["from"], b), "to": a["to"] + behind(gap, a["to"])}
        case "move", "pop":
            gone = b["position"] - (a["from"] < b["position"])
            return {**a, "from": follow(a["from"], b), "to": a["to"] - (gone < a["to"])}
        case "move", "set_item":
            return a
        case _ if a["from"] == b["from"]:
            return {**a, "from": b["to"]} if later else None
        case _:
            other, own = b["from"] - (a["from"] < b["from"]), a["from"] - (b["from"] < a["from"])
            target, theirs = a["to"] - (other < a["to"]), b["to"] - (own < b["to"])
            return {**a, "from": follow(a["from"], b), "to": target + behind(theirs, target)}


def follow(index: int, change: Change) -> int:
    """Where the item at ``index`` is after a change that does not remove it."""
    match change["type"]:
        case "insert":
            return int(index + (change["position"] <= index))
        case "pop":
            return int(index - (change["position"] < index))
        case "move" if change["from"] == index:
            return int(change["to"])
        case "move":
            left = index - (change["from"] < index)
            return int(left + (change["to"] <= left))
        case _:
            return index


def components_of(change: Change) -> Canonical:
    """An edit's components in canonical form; the seed dialect's ``insert`` and ``delete`` are edits too."""
    match change["type"]:
        case "insert":
            return canonical_edit([{"retain": change["position"]}, {"insert": change["insertion"]}])
        case "delete":
            return canonical_edit([{"retain": change["position"]}, {"delete": len(change["deletion"])}])
        case _:
            return canonical_edit(change["components"])


def canonical_edit(components: Sequence[Component]) -> Canonical:
    """Neighbours joined, inserts before deletes at one place, no retain at the end, nothing empty (M5)."""
    if isinstance(components, Canonical):
        return components
    result = Canonical()
    last = ""
    for component in components:
        ((kind, value),) = component.items()
        if not value:
            continue
        if kind == last:
            result[-1] = {kind: result[-1][kind] + value}
        elif kind == "insert" and last == "delete":
            if len(result) > 1 and "insert" in result[-2]:
                result[-2] = {"insert": result[-2]["insert"] + value}
            else:
                result.insert(-1, component)
        else:
            result.append(component)
            last = kind
    if last == "retain":
        result.pop()
    return result


def transform_edit(a: Canonical, b: Canonical, later: bool) -> Canonical:
    """The walk of M3: of two inserts at one place the later one ends left."""
    result: list[Component] = []
    own, other = _Walk(a), _Walk(b)
    while own.kind:
        if own.kind == "insert" and (later or other.kind != "insert"):
            result.append({"insert": own.take_text()})
        elif other.kind == "insert":
            result.append({"retain": len(other.take_text())})
        else:
            count = own.left if not other.kind else min(own.left, other.left)
            if other.kind != "delete":
                result.append({own.kind: count})
            own.advance(count)
            other.advance(count)
    return canonical_edit(result)


def compose_edits(first: Sequence[Component], following: Sequence[Component]) -> Canonical:
    """The edit that does at once what one and then another do, in canonical form.

    For edits that nobody else has seen yet: a composed edit transforms otherwise than its parts.
    """
    result: list[Component] = []
    own, other = _Walk(first), _Walk(following)
    while own.kind or other.kind:
        if own.kind == "delete":
            result.append({"delete": own.left})
            own.advance(own.left)
        elif other.kind == "insert":
            result.append({"insert": other.take_text()})
        elif own.kind == "insert":
            text = own.take_piece(other.left if other.kind else None)
            if other.kind != "delete":
                result.append({"insert": text})
            other.advance(len(text))
        else:
            count = min(walk.left for walk in (own, other) if walk.kind)
            result.append({other.kind if other.kind else "retain": count})
            own.advance(count)
            other.advance(count)
    return canonical_edit(result)


class _Walk:
    """A place in a list of components; behind the last the text is kept."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._rest = iter(components)
        self._next()

    def _next(self) -> None:
        component = next(self._rest, None)
        self.kind = ""
        self.left = 0
        if component is not None:
            ((self.kind, self._value),) = component.items()
            self.left = 0 if self.kind == "insert" else self._value

    def take_text(self) -> str:
        text = str(self._value)
        self._next()
        return text

    def take_piece(self, count: int | None) -> str:
        """As much of an insert, or all of it."""
        text = str(self._value)
        if count is None or count >= len(text):
            self._next()
            return text
        self._value = text[count:]
        return text[:count]

    def advance(self, count: int) -> None:
        if self.kind:
            self.left -= count
            if self.left == 0:
                self._next()
