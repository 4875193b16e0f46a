"""Changes: what a topic of each type takes, and what it does to the topic's value."""

from __future__ import annotations

import math
from typing import Any

from .code import ChatroomError
from .text import Text
from .transform import Canonical, Change, canonical_edit, components_of
from .value import INTEGER_MAX, canonical, check_number, check_text, equal, plain

KINDS: dict[str, tuple[str, ...]] = {
    "generic": ("set",),
    "string": ("set", "edit", "insert", "delete"),
    "int": ("set", "add"),
    "float": ("set", "add"),
    "bool": ("set",),
    "list": ("set", "insert", "pop", "set_item", "move"),
    "set": ("set", "append", "remove"),
    "dict": ("set", "add", "put", "ensure", "change_value", "pop"),
    "event": ("emit",),
    "presence": ("put", "pop"),
}

LIMITS: dict[str, int] = {
    "text_scalars": 1 << 20,
    "items": 100_000,
    "key_bytes": 1024,
    "presence_bytes": 16 << 10,
    "edit_components": 10_000,
}


class Value:
    """The value of a topic. ``data`` is a ``Text``, a list, a dict (a set's items under their canonical
    texts, a presence topic's entries under the ids), or the plain value of the other types."""

    __slots__ = ("data", "kind")

    def __init__(self, kind: str, data: Any) -> None:
        self.kind = kind
        self.data = data

    @classmethod
    def load(cls, kind: str, value: Any) -> Value:
        """A value as a snapshot shows it."""
        match kind:
            case "string":
                return cls(kind, Text(check_text(_typed(value, str, "the value"))))
            case "list":
                return cls(kind, plain(_typed(value, list, "the value")))
            case "set":
                items = plain(_typed(value, list, "the value"))
                return cls(kind, {canonical(item): item for item in items})
            case "dict" | "presence":
                return cls(kind, plain(_typed(value, dict, "the value")))
            case "event":
                return cls(kind, None)
            case "float":
                return cls(kind, _float(value))
            case _:
                return cls(kind, plain(value))

    def show(self) -> Any:
        """The value as a snapshot shows it."""
        match self.kind:
            case "string":
                return str(self.data)
            case "set":
                return [self.data[key] for key in sorted(self.data)]
            case _:
                return self.data

    def apply(self, change: Change, limits: dict[str, int] | None = None) -> Change | None:
        """Applies a change in place, or refuses it and leaves the value as it was.

        Returns the change that takes this one back exactly; ``None`` if it had no effect.
        """
        apply = _APPLY.get(self.kind)
        return apply(self, change, limits or {}) if apply else None


def _typed(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise ChatroomError("bad_type", f"{what} must be of another type than {type(value).__name__}")
    return value


def _float(value: Any) -> int | float:
    """A number of a float topic: any finite double."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ChatroomError("bad_type", "the value must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ChatroomError("not_finite", "a number that no double holds")
    return int(number) if number.is_integer() and abs(number) <= INTEGER_MAX else number


def _set_whole(value: Value, new: Any) -> Change | None:
    if equal(value.data, new):
        return None
    value.data, old = new, value.data
    return {"type": "set", "value": old}


def _generic(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    return _set_whole(value, change["value"])


def _number(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    old = value.data
    new = change["value"] if change["type"] == "set" else old + change["value"]
    if value.kind == "float":
        new = _float(new)
    elif abs(new) > INTEGER_MAX:
        raise ChatroomError("out_of_range", f"{new} lies beyond 2^53 - 1")
    if new == old:
        return None
    value.data = new
    if change["type"] == "add" and value.kind == "int":
        return {"type": "add", "value": -change["value"]}
    return {"type": "set", "value": old}


def _string(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    text: Text = value.data
    most = limits.get("text_scalars")
    if change["type"] == "set":
        _fits(len(change["value"]), most, "a text has at most {} characters, this would have {}")
        old = str(text)
        if old == change["value"]:
            return None
        value.data = Text(change["value"])
        return {"type": "set", "value": old}
    if change["type"] == "delete":
        end = change["position"] + len(change["deletion"])
        if end > len(text):
            raise ChatroomError("out_of_range", f"position {end} is past the end of a text of {len(text)}")
        if text.slice(change["position"], len(change["deletion"])) != change["deletion"]:
            raise ChatroomError("precondition", f"at {change['position']} stands another text than the deletion")
    components = components_of(change)
    # A retain at the end says how long the text is at least, though it is no part of the canonical form.
    said = [{"retain": change["position"]}] if change["type"] == "insert" else change.get("components", components)
    walked = grown = 0
    for part in said:
        walked += part.get("retain", 0) + part.get("delete", 0)
    for part in components:
        grown += len(part["insert"]) if "insert" in part else -part.get("delete", 0)
    if walked > len(text):
        raise ChatroomError("out_of_range", f"position {walked} is past the end of a text of {len(text)}")
    _fits(len(text) + grown, most, "a text has at most {} characters, this would have {}")
    position, back = 0, Canonical()
    inserted = False
    for part in components:
        if "retain" in part:
            position += part["retain"]
            back.append(part)
        elif "insert" in part:
            text.splice(position, 0, part["insert"])
            position += len(part["insert"])
            back.append({"delete": len(part["insert"])})
        else:
            # An insert stands before a delete at one place, here as there.
            at = len(back) - inserted
            back.insert(at, {"insert": text.splice(position, part["delete"], "")})
        inserted = "insert" in part
    return {"type": "edit", "components": back} if back else None


def _list(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    items: list[Any] = value.data
    match change["type"]:
        case "set":
            _fits_items(len(change["value"]), limits)
            return _set_whole(value, list(change["value"]))
        case "insert":
            position = _index(change["position"], len(items) + 1, len(items))
            _fits_items(len(items) + 1, limits)
            items.insert(position, change["item"])
            return {"type": "pop", "position": position}
        case "pop":
            position = _index(change["position"], len(items), len(items))
            return {"type": "insert", "position": position, "item": items.pop(position)}
        case "set_item":
            position = _index(change["position"], len(items), len(items))
            old, items[position] = items[position], change["item"]
            return None if equal(old, change["item"]) else {"type": "set_item", "position": position, "item": old}
        case _:
            start, end = (_index(change[field], len(items), len(items)) for field in ("from", "to"))
            items.insert(end, items.pop(start))
            return None if start == end else {"type": "move", "from": end, "to": start}


def _set(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    items: dict[str, Any] = value.data
    if change["type"] == "set":
        new = {canonical(item): item for item in change["value"]}
        _fits_items(len(new), limits)
        if new.keys() == items.keys():
            return None
        old, value.data = value.show(), new
        return {"type": "set", "value": old}
    key = canonical(change["item"])
    if change["type"] == "append":
        if key in items:
            return None
        _fits_items(len(items) + 1, limits)
        items[key] = change["item"]
        return {"type": "remove", "item": change["item"]}
    if key not in items:
        return None
    return {"type": "append", "item": items.pop(key)}


def _dict(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    entries: dict[str, Any] = value.data
    if change["type"] == "set":
        _fits_items(len(change["value"]), limits)
        return _set_whole(value, dict(change["value"]))
    key, there = change["key"], change["key"] in entries
    match change["type"]:
        case "add" if there:
            raise ChatroomError("key_exists", f"the key {key!r} is there already; put writes it anyway")
        case "change_value" | "pop" if not there:
            raise ChatroomError("no_such_key", f"the key {key!r} is not there")
        case "ensure" if there:
            return None
        case "pop":
            return {"type": "put", "key": key, "value": entries.pop(key)}
    if there:
        old, entries[key] = entries[key], change["value"]
        return None if equal(old, change["value"]) else {"type": "put", "key": key, "value": old}
    _fits_items(len(entries) + 1, limits)
    entries[key] = change["value"]
    return {"type": "pop", "key": key}


def _presence(value: Value, change: Change, limits: dict[str, int]) -> Change | None:
    entries: dict[str, Any] = value.data
    key = change["key"]
    there, old = key in entries, entries.get(key)
    if change["type"] == "pop":
        entries.pop(key, None)
        return {"type": "put", "key": key, "value": old} if there else None
    entries[key] = change["value"]
    if not there:
        return {"type": "pop", "key": key}
    return None if equal(old, change["value"]) else {"type": "put", "key": key, "value": old}


_APPLY = {
    "generic": _generic,
    "bool": _generic,
    "int": _number,
    "float": _number,
    "string": _string,
    "list": _list,
    "set": _set,
    "dict": _dict,
    "presence": _presence,
}


def _index(position: int, bound: int, length: int) -> int:
    if position >= bound:
        raise ChatroomError("out_of_range", f"position {position} is past the end of a list of {length}")
    return position


def _fits(found: int, most: int | None, reason: str) -> None:
    if most is not None and found > most:
        raise ChatroomError("too_big", reason.format(most, found))


def _fits_items(found: int, limits: dict[str, int]) -> None:
    _fits(found, limits.get("items"), "a topic has at most {} entries, this would have {}")


def decode(kind: str, change: Any, *, by: int, limits: dict[str, int] | None = None) -> Change:
    """Checks a change as the server does; returns it in the form of the wire, without its id."""
    limits = LIMITS if limits is None else limits
    _typed(change, dict, "the change")
    _check_id(change.get("id"))
    name = _field(change, "type", str)
    if name not in KINDS[kind]:
        raise ChatroomError("unknown_change", f"a topic of type {kind} has no change {name!r}, only {KINDS[kind]}")
    if kind == "string":
        return _decode_string(name, change, limits)
    if kind in ("int", "float"):
        return {"type": name, "value": _decode_number(kind, change)}
    if kind == "list" and name != "set":
        positions = ("from", "to") if name == "move" else ("position",)
        fields: Change = {"type": name, **{field: _position(change, field) for field in positions}}
        return {**fields, "item": plain(_field(change, "item"))} if name in ("insert", "set_item") else fields
    if kind == "presence":
        return _decode_presence(name, change, by, limits)
    if name in ("append", "remove"):
        return {"type": name, "item": plain(_field(change, "item"))}
    if name == "emit":
        return {"type": name, "args": plain(_field(change, "args"))}
    if name == "pop":
        return {"type": name, "key": _key(_field(change, "key", str), limits)}
    value = plain(_field(change, "value"))
    if name == "set":
        wanted = {"list": list, "set": list, "dict": dict, "bool": bool}.get(kind)
        if wanted:
            _typed(value, wanted, "value")
        if kind == "dict":
            for key in value:
                _key(key, limits)
        return {"type": name, "value": value}
    return {"type": name, "key": _key(_field(change, "key", str), limits), "value": value}


def _check_id(number: Any) -> None:
    if number is None:
        return
    if isinstance(number, str):
        _fits(len(check_text(number).encode()), 128, "an id has at most {} bytes, this one has {}")
    elif isinstance(number, bool) or not isinstance(number, int) or abs(number) > INTEGER_MAX:
        raise ChatroomError("bad_type", "an id must be a string or an integer up to 2^53 - 1")


def _field(change: Change, name: str, kind: type | None = None) -> Any:
    if name not in change:
        raise ChatroomError("bad_type", f"the field {name} is missing")
    value = change[name]
    if kind is not None:
        _typed(value, kind, name)
    return check_text(value) if isinstance(value, str) else value


def _position(change: Change, name: str) -> int:
    value = _field(change, name)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ChatroomError("bad_type", f"{name} must be an integer")
    if not 0 <= value <= INTEGER_MAX:
        raise ChatroomError("out_of_range", f"{name} must lie within 0 and 2^53 - 1")
    return value


def _key(key: str, limits: dict[str, int]) -> str:
    _fits(len(check_text(key).encode()), limits.get("key_bytes"), "a key has at most {} bytes, this one has {}")
    return key


def _decode_number(kind: str, change: Change) -> int | float:
    value = _field(change, "value")
    if kind == "float":
        return _float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ChatroomError("bad_type", "value must be an integer")
    number = check_number(value)
    if not isinstance(number, int):
        integral = number.is_integer()
        raise ChatroomError("out_of_range" if integral else "bad_type", "value must be an integer up to 2^53 - 1")
    return number


def _decode_string(name: str, change: Change, limits: dict[str, int]) -> Change:
    if name == "set":
        return {"type": name, "value": _field(change, "value", str)}
    if name != "edit":
        field = "insertion" if name == "insert" else "deletion"
        return {"type": name, "position": _position(change, "position"), field: _field(change, field, str)}
    components = _typed(_field(change, "components"), list, "components")
    most = limits.get("edit_components")
    _fits(len(components), most, "an edit has at most {} components, this one has {}")
    checked = []
    for component in components:
        _typed(component, dict, "a component")
        known = [kind for kind in ("retain", "insert", "delete") if component.get(kind) is not None]
        if len(known) != 1:
            raise ChatroomError("bad_type", "a component is one of retain, insert and delete")
        (kind,) = known
        if kind == "insert":
            checked.append({kind: _field(component, kind, str)})
            continue
        count = _position(component, kind)
        if count == 0:
            raise ChatroomError("out_of_range", f"{kind} must be at least 1")
        checked.append({kind: count})
    # A retain at the end may reach past the end of the text, which is to be found where that is known.
    ends = bool(checked) and "retain" not in checked[-1] and all(checked[-1].values())
    return {"type": name, "components": canonical_edit(checked) if ends else checked}


def _decode_presence(name: str, change: Change, by: int, limits: dict[str, int]) -> Change:
    if change.get("key") is not None and _field(change, "key", str) != str(by):
        raise ChatroomError("forbidden", f"a client writes its own entry only, and this client is {by}")
    if name == "pop":
        return {"type": name, "key": str(by)}
    value = plain(_field(change, "value"))
    _fits(len(canonical(value).encode()), limits.get("presence_bytes"), "an entry has at most {} bytes, not {}")
    return {"type": name, "key": str(by), "value": value}
