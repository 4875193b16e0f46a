"""The scripts of ``conformance/replica``."""

from __future__ import annotations

import json
import unittest
from typing import Any

from chatroom.code import ChatroomError
from chatroom.replica import Replica
from chatroom.value import canonical

from .test_vectors import cases, form


class Scripts(unittest.TestCase):
    maxDiff = None

    def test_replica(self) -> None:
        ran, failed = 0, []
        for script in cases("replica"):
            ran += 1
            try:
                self.run_script(script)
            except Exception as error:  # each script is told
                failed.append(f"{script['id']}: {type(error).__name__}: {error}")
        print(f"replica: {ran} run, {len(failed)} failed, 0 left out")
        self.assertGreater(ran, 0)
        self.assertEqual(failed, [])

    def run_script(self, script: dict[str, Any]) -> None:
        replica = Replica()
        now_ms = 0
        for number, step in enumerate(script["steps"], 1):
            for word, given in step.items():
                where = f"step {number}: {json.dumps(step)[:300]}"
                match word:
                    case "open":
                        replica.open(given["topic_name"], given["type"])
                    case "release":
                        replica.release(given)
                    case "receive":
                        if given["type"] == "hello":
                            limits = {**script.get("limits", {}), **given["content"].get("limits", {})}
                            given = {"type": "hello", "content": {**given["content"], "limits": limits}}
                        replica.receive(given)
                    case "disconnect":
                        replica.disconnect()
                    case "restart":
                        saved = json.loads(json.dumps(replica.save()))
                        replica = Replica()
                        replica.restore(saved)
                    case "saved":
                        self.same(replica.save(), given, where)
                    case "advance_ms":
                        now_ms += given
                    case "undo":
                        replica.undo()
                    case "redo":
                        replica.redo()
                    case "act":
                        self.act(replica, step, now_ms, where)
                    case "tracked" | "group" | "refused":
                        pass
                    case "send":
                        replica.asking()
                        sent = []
                        while (push := replica.push()) is not None:
                            sent.append(push)
                        self.same(sent, given, where)
                    case "hello":
                        self.same(in_order(replica.hello()), in_order(given), where)
                    case "value":
                        for name, expected in given.items():
                            self.same(replica.value(name), expected, where)
                    case "confirmed":
                        for name, expected in given.items():
                            self.same(replica.confirmed(name), expected, where)
                    case "unsaved":
                        self.same(replica.unsaved, given, where)
                    case "can_undo" | "can_redo":
                        self.same(replica.can("undo" if word == "can_undo" else "redo"), given, where)
                    case "settled":
                        self.same([outcome(settled) for settled in replica.settled], given, where)
                        replica.settled.clear()
                    case "told":
                        self.same([told_form(told) for told in replica.told], given, where)
                        replica.told.clear()
                    case _:
                        self.fail(f"no step {word!r}")

    def act(self, replica: Replica, step: dict[str, Any], now_ms: int, where: str) -> None:
        parts = [(part["topic_name"], part["change"]) for part in step["act"]]
        try:
            replica.act(parts, now_ms=now_ms, tracked=step.get("tracked", True), group=step.get("group"))
        except ChatroomError as error:
            self.assertEqual(error.code, step.get("refused"), f"{where}: {error}")
        else:
            self.assertNotIn("refused", step, where)

    def same(self, found: Any, expected: Any, where: str) -> None:
        self.assertEqual(canonical(found), canonical(expected), where)


def in_order(hello: dict[str, Any]) -> dict[str, Any]:
    return {**hello, "resume": sorted(hello.get("resume", []), key=lambda held: str(held["topic_name"]))}


def outcome(settled: Any) -> dict[str, Any]:
    if settled.rejected is not None:
        return {"action": settled.action, "code": settled.rejected.code}
    effect = {} if settled.effect else {"effect": False}
    return {"action": settled.action, "sequence": settled.sequence, **effect}


def told_form(told: Any) -> dict[str, Any]:
    changes = {} if told.cause == "snapshot" else {"changes": [form(change) for change in told.changes]}
    return {"topic_name": told.topic_name, "cause": told.cause, **changes}


if __name__ == "__main__":
    unittest.main()
