"""The vectors of ``conformance/``. Each runner prints how many ran; none, or one left out, is a failure."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatroom.change import LIMITS, Value, decode
from chatroom.code import ChatroomError
from chatroom.invert import invert, invert_with
from chatroom.text import Text
from chatroom.transform import components_of, rectangle, transform
from chatroom.value import canonical, equal, fields_once, parse

CONFORMANCE = Path(__file__).parents[3] / "conformance"


def cases(name: str) -> list[dict[str, Any]]:
    folder = CONFORMANCE / name
    files = sorted(folder.glob("*.json")) if folder.is_dir() else [folder.with_suffix(".json")]
    return [case for file in files for case in json.loads(file.read_text(encoding="utf-8"), parse_int=int)]


def repeated(repeat: dict[str, Any]) -> str:
    before, middle, after = (repeat.get(part, "") for part in ("before", "middle", "after"))
    times = repeat["times"]
    return str(before + repeat["open"] * times + middle + repeat.get("close", "") * times + after)


def form(change: Any) -> Any:
    """As the vectors compare changes: without an id, edits in canonical form."""
    if change is None:
        return None
    change = {name: value for name, value in change.items() if name != "id"}
    if change["type"] in ("edit", "delete") and "deletion" not in change:
        return {"type": "edit", "components": components_of(change)} if "components" in change else change
    return change


class Vectors(unittest.TestCase):
    maxDiff = None

    def run_all(self, name: str, check: Callable[[dict[str, Any]], None]) -> None:
        ran, failed = 0, []
        for case in cases(name):
            ran += 1
            try:
                check(case)
            except Exception as error:  # each case is told
                failed.append(f"{case['id']}: {type(error).__name__}: {error}")
        print(f"{name}: {ran} run, {len(failed)} failed, 0 left out")
        self.assertGreater(ran, 0)
        self.assertEqual(failed, [])

    def test_values(self) -> None:
        def check(case: dict[str, Any]) -> None:
            if "equal" in case:
                self.assertEqual(equal(parse(case["a"]), parse(case["b"])), case["equal"])
                return
            text = repeated(case["repeat"]) if "repeat" in case else case["text"]
            if "code" in case:
                with self.assertRaises(ChatroomError) as raised:
                    parse(text)
                self.assertEqual(raised.exception.code, case["code"])
                return
            self.assertEqual(canonical(parse(text)), case["canonical"])
            self.assertEqual(canonical(parse(case["canonical"])), case["canonical"])

        self.run_all("values", check)

    def check_change(self, case: dict[str, Any]) -> None:
        value = Value.load(case["type"], case["state"])
        before = canonical(value.show())
        try:
            change = case["change"] if "change" in case else parse_change(case)
            change = decode(case["type"], change, by=case.get("by", 1))
            back = value.apply(change, LIMITS)
        except ChatroomError as error:
            self.assertEqual(error.code, case.get("code"), error.reason)
            self.assertEqual(canonical(value.show()), before)
            return
        self.assertNotIn("code", case)
        self.assertEqual(canonical(value.show()), canonical(case["result"]))
        if case.get("changed") is False:
            self.assertIsNone(back)
        if back is not None:
            value.apply(back)
            self.assertEqual(canonical(value.show()), before)

    def test_changes(self) -> None:
        self.run_all("changes", self.check_change)

    def test_generated_apply(self) -> None:
        self.run_all("generated/apply", self.check_change)

    def check_transform(self, case: dict[str, Any]) -> None:
        a, b = json.dumps(case["a"]), json.dumps(case["b"])
        found = transform(case["type"], case["a"], case["b"], case["side"])
        self.assertEqual(canonical(form(found)), canonical(form(case["result"])))
        self.assertEqual((json.dumps(case["a"]), json.dumps(case["b"])), (a, b), "an argument was altered")

    def test_transform(self) -> None:
        self.run_all("transform", self.check_transform)

    def test_generated_transform(self) -> None:
        self.run_all("generated/transform", self.check_transform)

    def check_rectangle(self, case: dict[str, Any]) -> None:
        a, b = rectangle(case["type"], case["a"], case["b"])
        self.assertEqual(
            canonical([form(change) for change in a]), canonical([form(change) for change in case["a_result"]])
        )
        self.assertEqual(
            canonical([form(change) for change in b]), canonical([form(change) for change in case["b_result"]])
        )

    def test_rectangle(self) -> None:
        self.run_all("rectangle", self.check_rectangle)

    def test_generated_rectangle(self) -> None:
        self.run_all("generated/rectangle", self.check_rectangle)

    def check_invert(self, case: dict[str, Any]) -> None:
        value = Value.load(case["type"], case["state"])
        before = canonical(value.show())
        back = invert(case["type"], case["change"], value)
        expected = canonical([form(change) for change in case["inverse"]])
        self.assertEqual(canonical([form(change) for change in back]), expected)
        exact = value.apply(case["change"])
        if exact is not None:
            again = invert_with(case["type"], case["change"], exact)
            self.assertEqual(canonical([form(change) for change in again]), expected)
        for change in back:
            value.apply(change)
        if case["type"] not in ("event", "presence"):
            self.assertEqual(canonical(value.show()), before)

    def test_invert(self) -> None:
        self.run_all("invert", self.check_invert)

    def test_generated_invert(self) -> None:
        self.run_all("generated/invert", self.check_invert)

    def test_index(self) -> None:
        def check(case: dict[str, Any]) -> None:
            text = Text(case["text"])
            for scalar, utf16, utf8 in case["positions"]:
                before = text.slice(0, scalar)
                self.assertEqual((len(before.encode("utf-16-le")) // 2, len(before.encode())), (utf16, utf8))

        self.run_all("index", check)


def parse_change(case: dict[str, Any]) -> Any:
    """A change whose text not every JSON reader hands on unharmed."""
    if case["type"] == "float":
        # A float topic takes numbers that other values may not have.
        try:
            return json.loads(case["change_text"], object_pairs_hook=fields_once)
        except ValueError as error:
            raise ChatroomError("malformed", str(error)) from None
    return parse(case["change_text"])


if __name__ == "__main__":
    unittest.main()
