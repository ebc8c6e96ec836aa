"""Every promise held under everything that goes wrong: fifty worlds, and that each is the same in every process."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from emw.simulation.cli import main
from emw.simulation.run import simulate

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tens", range(5))
def test_P1_P2_P3_P4_P5_P7_P11_hold_in_ten_worlds(tens: int) -> None:
    kills = 0
    for seed in range(10 * tens + 1, 10 * tens + 11):
        summary = simulate(seed, hours=0.3)
        kills += summary.kills
        assert summary.broken is None, f"emw-sim {seed} --hours 0.3: {summary.broken}"
    assert kills > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1001, 1041))
def test_F1_F3_F4_long_runs_with_all_faults(seed: int) -> None:
    summary = simulate(seed, hours=6.0)
    assert summary.broken is None, f"emw-sim {seed} --hours 6: {summary.broken}"


@pytest.mark.slow
@pytest.mark.skipif(
    "EMW_SIM_DAYS" not in os.environ, reason="a matter of hours: EMW_SIM_DAYS=200 asks for it"
)
def test_F1_days_before_a_release() -> None:
    for seed in range(2001, 2001 + int(os.environ["EMW_SIM_DAYS"])):
        summary = simulate(seed, hours=24.0)
        assert summary.broken is None, f"emw-sim {seed} --hours 24: {summary.broken}"


def hashes(hash_seed: str) -> list[str]:
    command = [sys.executable, "-m", "emw.simulation.cli", "--seeds", "1..20", "--hours", "0.1", "--json"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    lines = [msgspec.json.decode(line) for line in told.stdout.splitlines()]
    return [f"{line['seed']} {line['trace_lines']} {line['trace_hash']}" for line in lines]


def test_a_seed_is_the_same_run_in_every_process() -> None:
    one = hashes("1")
    assert len(one) == 20
    assert one == hashes("4711")


def test_two_seeds_in_one_process_do_not_know_each_other() -> None:
    first = simulate(7, hours=0.1)
    simulate(8, hours=0.1)
    assert simulate(7, hours=0.1).trace_hash == first.trace_hash


def test_the_command_says_what_broke_and_what_came_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["2", "--hours", "0.2", "--plant", "no-floor"]) == 1
    said = capsys.readouterr().out
    assert "BROKEN, seed 2: P4" in said
    assert "the last 50 lines" in said
    assert main(["--seeds", "7..8", "--hours", "0.05"]) == 0


def test_wrong_use_is_said_so() -> None:
    for words in (["--seeds", "x..y"], [], ["1", "--plant", "nothing"]):
        with pytest.raises(SystemExit) as refused:
            main(words)
        assert refused.value.code == 2
