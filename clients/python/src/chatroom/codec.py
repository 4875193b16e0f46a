"""Messages as text. What the server says is read strictly: a peer that breaks the protocol is not followed."""

from __future__ import annotations

import json
from typing import Any

from .code import ChatroomError
from .value import fields_once

Message = dict[str, Any]


def decode(text: str | bytes) -> Message:
    """A message of the server; raises ``malformed`` for what is none."""
    try:
        message = json.loads(text, object_pairs_hook=fields_once, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise ChatroomError("malformed", str(error)) from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ChatroomError("malformed", "a message is an object with a type")
    if not isinstance(message.get("content"), dict):
        raise ChatroomError("malformed", "a message has a content, which is an object")
    return message


def encode(message: Message) -> str:
    """The text of a message; raises for what is not JSON."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _constant(name: str) -> Any:
    raise ChatroomError("malformed", f"{name} is not JSON")
