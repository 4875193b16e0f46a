"""The Python client of ChatRoom: what many clients share, in step and in real time.

>>> async with Client("ws://localhost:8765") as room:  # doctest: +SKIP
...     score = room.topic("game/score", Int)
...     await score.add(1)
"""

from .action import Accepted, Action
from .client import Client
from .code import CODES, ChatroomError, Rejected
from .past import CommitPage, PastChange, PastCommit
from .saved import Saved
from .service import Call, CallError, ServiceError
from .topic import Bool, Dict, Event, Float, Hz, Int, Json, List, Presence, Set, Text, Topic, Update

__all__ = [
    "CODES",
    "Accepted",
    "Action",
    "Bool",
    "Call",
    "CallError",
    "ChatroomError",
    "Client",
    "CommitPage",
    "Dict",
    "Event",
    "Float",
    "Hz",
    "Int",
    "Json",
    "List",
    "PastChange",
    "PastCommit",
    "Presence",
    "Rejected",
    "Saved",
    "ServiceError",
    "Set",
    "Text",
    "Topic",
    "Update",
]
