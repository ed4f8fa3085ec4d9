from pathlib import Path

import pytest

from scripts import bench_agent
from scripts.bench_agent import SCRIPTS, Script, choose, main, run_script, summary

HELD = """
import sys
sys.path.insert(0, {root!r})
from benchmarks.report import at_least, at_most, print_claims
print_claims([at_most("time", 3.0, 4, "s"), at_least("speed", 1.0, 10, "×")])
"""


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of scripts in the place of the real one."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "good.py").write_text(HELD.format(root=str(bench_agent.ROOT)), encoding="utf-8")
    (folder / "broken.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (folder / "endless.py").write_text("while True: pass", encoding="utf-8")
    monkeypatch.setattr(bench_agent, "ROOT", tmp_path)
    return folder


def test_every_benchmark_of_the_agent_is_in_the_table() -> None:
    folder = bench_agent.ROOT / "benchmarks"
    assert {path.stem for path in folder.glob("agent_*.py")} <= {script.name for script in SCRIPTS}


def test_a_claim_that_does_not_hold_is_said_and_is_no_failure(benchmarks: Path) -> None:
    assert benchmarks.is_dir()
    outcome = run_script(Script("good"))
    assert outcome.trouble == ""
    assert summary([outcome]) == [
        ("good", "time", "3 s", "at most 4 s", "yes"),
        ("good", "speed", "1 ×", "at least 10 ×", "NO"),
    ]


@pytest.mark.parametrize(("script", "words"), [(Script("broken"), "exit status 3"), (Script("endless", timeout_s=0.2), "not done after")])
def test_a_script_that_breaks_or_does_not_end_is_said(benchmarks: Path, script: Script, words: str) -> None:
    assert benchmarks.is_dir()
    outcome = run_script(script)
    assert words in outcome.trouble
    assert summary([outcome])[0][-1] == "NO"


def test_the_run_goes_on_after_a_script_that_broke(
    benchmarks: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert benchmarks.is_dir()
    monkeypatch.setattr(bench_agent, "SCRIPTS", (Script("broken"), Script("good")))
    assert main([]) == 1
    printed = capfd.readouterr().out
    assert printed.rindex("exit status 3") < printed.rindex("at least 10 ×")


def test_one_script_can_be_chosen() -> None:
    assert [script.name for script in choose(["agent_cpu"])] == ["agent_cpu"]
    assert choose([]) == list(SCRIPTS)
