"""The way back from a change, for undo and for taking a refused action back.

Unlike the exact way back that ``Value.apply`` returns, this one leaves alone what others do later:
section 2 of ``docs/merging.md``.
"""

from __future__ import annotations

from typing import Any

from .change import Value
from .transform import Change, canonical_edit, components_of
from .value import canonical, equal


def invert(kind: str, change: Change, before: Value) -> list[Change]:
    """The changes that take ``change`` back from what it makes of ``before``; none if it has no effect."""
    data = before.data
    match kind:
        case "string":
            back = _edit_back(change, str(data))
            return [{"type": "edit", "components": back}] if back else []
        case "int" | "float" if change["type"] == "add":
            return [] if data + change["value"] == data else [{"type": "add", "value": -change["value"]}]
        case "generic" | "bool" | "int" | "float":
            return [] if equal(data, change["value"]) else [{"type": "set", "value": data}]
        case "list":
            return _list_back(change, data)
        case "set":
            return _set_back(change, data)
        case "dict":
            return _dict_back(change, data)
        case _:
            return []


def invert_with(kind: str, change: Change, exact: Change) -> list[Change]:
    """The same, from the exact way back that ``Value.apply`` returned."""
    if kind in ("event", "presence"):
        return []
    if kind in ("int", "float") and change["type"] == "add":
        return [{"type": "add", "value": -change["value"]}]
    if change["type"] == "set" and kind in ("string", "list", "set", "dict"):
        return invert(kind, change, Value.load(kind, exact["value"]))
    if kind == "dict" and exact["type"] == "put":
        name = "ensure" if change["type"] == "pop" else "change_value"
        return [{"type": name, "key": exact["key"], "value": exact["value"]}]
    return [exact]


def _edit_back(change: Change, text: str) -> list[dict[str, Any]]:
    if change["type"] == "set":
        if change["value"] == text:
            return []
        return canonical_edit([{"insert": text}, {"delete": len(change["value"])}])
    position = 0
    back: list[dict[str, Any]] = []
    for part in components_of(change):
        if "insert" in part:
            back.append({"delete": len(part["insert"])})
            continue
        if "retain" in part:
            back.append(part)
            position += part["retain"]
        else:
            back.append({"insert": text[position : position + part["delete"]]})
            position += part["delete"]
    return canonical_edit(back)


def _list_back(change: Change, items: list[Any]) -> list[Change]:
    match change["type"]:
        case "insert":
            return [{"type": "pop", "position": change["position"]}]
        case "pop":
            position = change["position"]
            return [{"type": "insert", "position": position, "item": items[position]}]
        case "set_item":
            position = change["position"]
            old = items[position]
            return [] if equal(old, change["item"]) else [{"type": "set_item", "position": position, "item": old}]
        case "move":
            start, end = change["from"], change["to"]
            return [] if start == end else [{"type": "move", "from": end, "to": start}]
    new = change["value"]
    begin = 0
    while begin < min(len(items), len(new)) and equal(items[begin], new[begin]):
        begin += 1
    end = 0
    while end < min(len(items), len(new)) - begin and equal(items[-1 - end], new[-1 - end]):
        end += 1
    pops = [{"type": "pop", "position": at} for at in reversed(range(begin, len(new) - end))]
    return pops + [{"type": "insert", "position": at, "item": items[at]} for at in range(begin, len(items) - end)]


def _set_back(change: Change, items: dict[str, Any]) -> list[Change]:
    if change["type"] != "set":
        there = canonical(change["item"]) in items
        if change["type"] == "append":
            return [] if there else [{"type": "remove", "item": change["item"]}]
        return [{"type": "append", "item": change["item"]}] if there else []
    new = {canonical(item): item for item in change["value"]}
    came = [{"type": "remove", "item": new[key]} for key in sorted(new.keys() - items.keys())]
    return came + [{"type": "append", "item": items[key]} for key in sorted(items.keys() - new.keys())]


def _dict_back(change: Change, entries: dict[str, Any]) -> list[Change]:
    if change["type"] == "set":
        new = change["value"]
        keys = sorted(entries.keys() | new.keys())
        return [back for key in keys for back in _key_back(key, entries, new)]
    key = change["key"]
    if change["type"] == "ensure" and key in entries:
        return []
    return _key_back(key, entries, {} if change["type"] == "pop" else {key: change["value"]})


def _key_back(key: str, old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    if key not in old:
        return [{"type": "pop", "key": key}] if key in new else []
    if key not in new:
        return [{"type": "ensure", "key": key, "value": old[key]}]
    return [] if equal(old[key], new[key]) else [{"type": "change_value", "key": key, "value": old[key]}]
