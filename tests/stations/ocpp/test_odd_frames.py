"""Frames such as stations were seen to send, written anew: taken or refused by name, and the connection lives on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stations.ocpp.house import house
from tests.stations.ocpp.plain import boot, plain

ODD: list[dict[str, Any]] = json.loads((Path(__file__).parent / "odd_frames.json").read_text())
VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")


@pytest.mark.parametrize("version", VERSIONS)
async def test_odd_frames_are_taken_or_refused_by_name(version: str, tmp_path: Path) -> None:
    odd = [o for o in ODD if o["version"] == version]
    assert odd
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, version) as it:
            await boot(it)
            for number, case in enumerate(odd):
                await it.raw(case["frame"])
                # What is asked afterwards is answered: then the odd one has been, too.
                assert (await it.call("Heartbeat", {}, named=f"after{number}"))["currentTime"]
                newest = [f.text for f in h.hub.console.frames("CP1") if f.outgoing]
                kinds = [json.loads(text)[0] for text in newest if not text.startswith("[2")]
                assert kinds[0] == 3, case["what"]  # to the heartbeat
                if case["answer"] is not None:
                    assert kinds[1] == case["answer"], case["what"]
            assert not it.listening.done()
