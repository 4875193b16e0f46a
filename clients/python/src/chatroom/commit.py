"""What other clients commit, put below the own pending changes (M42)."""

from __future__ import annotations

from .code import ChatroomError
from .mirror import Mirror
from .session import Session
from .transform import Change
from .undo import Direction


class Commits(Session):
    """Takes in what others did."""

    def _commit(self, parts: list[tuple[str, Change, int]], sequence: int, by: int) -> None:
        """All of a commit is in place before anybody hears of a part of it (M42)."""
        topics: dict[str, tuple[int, list[Change]]] = {}
        for name, change, previous in parts:
            bare = {field: value for field, value in change.items() if field != "id"}
            topics.setdefault(name, (previous, []))[1].append(bare)
        undos = self._last_undo()
        for name, (previous, changes) in topics.items():
            mirror = self.mirrors.get(name)
            if mirror is None or not mirror.follows or sequence <= mirror.position:
                continue
            if previous > mirror.position:
                self._doubt(name, f"a change after {previous}, but this client stands at {mirror.position}")
                continue
            self._commit_in(name, mirror, changes, sequence, by, undos)

    def _commit_in(
        self,
        name: str,
        mirror: Mirror,
        changes: list[Change],
        sequence: int,
        by: int,
        undos: tuple[Direction, int] | None,
    ) -> None:
        assert mirror.value is not None
        before, kind = mirror.before(changes), mirror.kind or ""
        told: list[Change] = []
        mirror.rewind()
        try:
            for change in changes:
                back = mirror.value.apply(change)
                pending = bool(mirror.own)
                behind_all, behind_undos = mirror.carry([change], 0, undos[1] if undos else None)
                effect = back is not None or kind == "event"
                if effect or pending:
                    told.extend(it for it in behind_all if not _is_empty(it))
                if effect:
                    direction = undos[0] if undos else None
                    self.history.committed(name, kind, change, behind_undos, behind_all, direction)
        except ChatroomError as error:
            self._doubt(name, f"a change that does not apply: {error}")
        mirror.replay()
        if mirror.doubted:
            return
        mirror.position = sequence
        self._tell(name, "remote", mirror.since(before, told), by)


def _is_empty(change: Change) -> bool:
    """Whether a change of positions never does anything."""
    if change["type"] == "move":
        return bool(change["from"] == change["to"])
    return change["type"] == "edit" and not change["components"]
