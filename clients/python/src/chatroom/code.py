"""Codes: what went wrong, by the names that every language has."""

from __future__ import annotations

from typing import Any

CODES: dict[str, int] = {
    "internal": 100,
    "busy": 101,
    "timeout": 102,
    "provider_lost": 103,
    "no_provider": 104,
    "cancelled": 105,
    "shutting_down": 106,
    "slow_consumer": 107,
    "heartbeat_missed": 108,
    "no_authority": 109,
    "connection_lost": 110,
    "storage_full": 111,
    "malformed": 200,
    "unknown_message": 201,
    "bad_name": 202,
    "bad_type": 203,
    "bad_unicode": 204,
    "not_finite": 205,
    "out_of_range": 206,
    "key_exists": 207,
    "no_such_key": 208,
    "too_big": 209,
    "unknown_topic": 210,
    "type_mismatch": 211,
    "invalid": 212,
    "precondition": 213,
    "duplicate_request": 214,
    "unknown_request": 215,
    "already_registered": 216,
    "not_registered": 217,
    "limit_reached": 218,
    "hello_expected": 219,
    "unsupported": 220,
    "unknown_change": 221,
    "stale_base": 222,
    "forbidden": 300,
    "unauthenticated": 301,
    "topic_deleted": 400,
    "closed": 401,
    "replaced": 402,
}

NAMES: dict[int, str] = {number: name for name, number in CODES.items()}


class ChatroomError(Exception):
    """Something was refused: ``code`` for a program, ``reason`` for a person."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Rejected(ChatroomError):
    """An action was not carried out, or nobody knows (``maybe_executed``)."""

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        topic_name: str = "",
        change: Any = None,
        retryable: bool = False,
        maybe_executed: bool = False,
    ) -> None:
        super().__init__(code, reason)
        self.topic_name = topic_name
        self.change = change
        self.retryable = retryable
        self.maybe_executed = maybe_executed
