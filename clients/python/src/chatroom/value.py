"""JSON values as every language reads them, and the one text that equal values share."""

from __future__ import annotations

import json
import math
from json.encoder import encode_basestring
from typing import Any

from .code import ChatroomError

DEPTH_MAX = 64
INTEGER_MAX = (1 << 53) - 1
# From here on JavaScript writes integral numbers with an exponent.
EXPONENT_MIN = 1e21
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def parse(text: str) -> Any:
    """Reads JSON text as strictly as the server does."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=fields_once,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except ChatroomError:
        raise
    except (ValueError, RecursionError) as error:
        raise ChatroomError("malformed", str(error)) from None
    return plain(value)


def fields_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's fields, each of which may stand once."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ChatroomError("malformed", "an object has a key twice")
    return fields


def _integer(digits: str) -> int | float:
    # Python refuses to read numbers of thousands of digits.
    value = int(digits) if len(digits) <= 400 else math.inf
    if isinstance(value, int) and abs(value) <= INTEGER_MAX:
        return value
    try:
        return check_number(float(digits))
    except OverflowError:
        raise ChatroomError("not_finite", "a number that no double holds") from None


def _number(digits: str) -> int | float:
    return check_number(float(digits))


def _constant(name: str) -> Any:
    raise ChatroomError("malformed", f"{name} is not JSON")


def check_number(value: int | float) -> int | float:
    """The number as all languages have it: integral ones are integers, ``-0`` is ``0``."""
    if isinstance(value, int):
        if abs(value) <= INTEGER_MAX:
            return value
        try:
            value = float(value)
        except OverflowError:
            raise ChatroomError("not_finite", "a number that no double holds") from None
    if not math.isfinite(value):
        raise ChatroomError("not_finite", "a number that no double holds")
    if value.is_integer():
        if abs(value) <= INTEGER_MAX:
            return int(value)
        if abs(value) < EXPONENT_MIN:
            raise ChatroomError("out_of_range", f"an integral number beyond 2^53 - 1: {value!r}")
    return value


def check_text(text: str) -> str:
    """Refuses text with a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ChatroomError("bad_unicode", "text with a lone surrogate") from None
    return text


def plain(value: Any, depth: int = 0) -> Any:
    """A copy that is plain JSON, as the protocol takes it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_text(value)
    if isinstance(value, int | float):
        return check_number(value)
    if depth >= DEPTH_MAX:
        raise ChatroomError("malformed", f"nested deeper than {DEPTH_MAX}")
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ChatroomError("bad_type", "a key that is not a string is not JSON")
        return {check_text(key): plain(item, depth + 1) for key, item in value.items()}
    raise ChatroomError("bad_type", f"a value of type {type(value).__name__} is not JSON")


def canonical(value: Any) -> str:
    """The canonical text: keys by code point, no white space. Equal values have equal texts."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return _text(value) if isinstance(value, str) else json.dumps(value)
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(canonical(item) for item in value) + "]"


def bytes_of(value: Any) -> int:
    """How long the JSON text of a value is, for limits; much faster than the canonical text."""
    return len(_written(value).encode())


def _text(text: str) -> str:
    # Python escapes the character 7F too, which no other language does.
    return encode_basestring(text).replace("\\u007f", "\x7f")


def number_text(value: int | float) -> str:
    """The number as ECMAScript's ``Number::toString`` writes it."""
    if isinstance(value, int) or value == 0:
        return str(int(value))
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and not exponent else fraction
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS times ten to the power of this.
    point = int(exponent or 0) + len(whole) if whole != "0" else int(exponent or 0) - (len(fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def equal(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same: ``True`` is not ``1``, and ``1`` is ``1.0``."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(item, b[key]) for key, item in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    return type(a) is type(b) and bool(a == b)
