"""The Open Charge Alliance's schemas, as the `ocpp` package carries them: the judge of every message."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import ocpp

FOLDERS: Final = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}
ROOT: Final = Path(ocpp.__file__).parent


@functools.cache
def _validator(version: str, action: str, *, answer: bool) -> jsonschema_rs.Draft7Validator:
    old = version == "ocpp1.6"
    name = action + ("Response" if answer else "" if old else "Request")
    text = (ROOT / FOLDERS[version] / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema_rs.Draft7Validator(json.loads(text))


def check(version: str, action: str, payload: Any, *, answer: bool) -> None:
    """Raise AssertionError where a payload is not what the schema says."""
    faults = [str(e) for e in _validator(version, action, answer=answer).iter_errors(payload)]
    assert not faults, f"{version} {action}{' answer' if answer else ''}: {faults} in {payload}"


class Judge:
    """Hears every frame of a conversation, and checks each by its schema."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.checked = 0
        self._asked: dict[tuple[bool, str], str] = {}

    def hear(self, frame: str | bytes, *, from_emw: bool) -> None:
        """One frame. Faults of the other side are not judged, ours are."""
        parts = json.loads(frame)
        if parts[0] == 2:
            self._asked[from_emw, parts[1]] = parts[2]
            if from_emw:
                assert len(parts[1]) <= 36
                check(self.version, parts[2], parts[3], answer=False)
                self.checked += 1
        elif parts[0] == 3 and from_emw:
            check(self.version, self._asked[False, parts[1]], parts[2], answer=True)
            self.checked += 1
