"""`eyelet-agent tune` on real packages: measured, kept, and used by the next start."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.running_agent import prepare_home
from contract.files import sha256_of
from contract.package import Package
from contract.signing import public_key_to_bytes
from edge_agent.cli import agent
from edge_agent.home import Home, make_home
from edge_agent.memory import Memory
from edge_agent.tuning import Choice, load_choice, save_choice
from tests.edge_agent.test_fleet_updates import PNG
from tests.simulators.agents import AgentProcess
from tests.simulators.packages import make_acceptance


def call(home: Home, *arguments: str) -> Result:
    return CliRunner().invoke(agent, ["tune", *arguments, "--home", str(home.folder), "--threads", "1"])


@pytest.fixture
def home(tmp_path: Path, package: Package) -> Home:
    """The version is installed with its ONNX variant, and the model's acceptance set lies beside it."""
    home = prepare_home(tmp_path / "home", package, "onnx-float32")
    acceptance, samples = make_acceptance(tmp_path / "acceptance", model="digits")
    (home.objects / acceptance.samples.sha256).write_bytes(samples)
    Memory(home.state / "memory.json").keep_acceptance("digits", (acceptance.samples.sha256,), 0.9)
    return home


def test_the_best_is_kept_and_the_next_start_runs_it(home: Home, package: Package) -> None:
    answer = call(home, "--json")
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert {row["result"]["variant"] for row in told["rows"]} == {"onnx-float32", "litert-float32"}
    assert {row["result"]["acceptance_score"] for row in told["rows"]} == {1.0}
    choice = load_choice(home, package.digest)
    assert choice is not None
    assert told["choice"]["variant"] == choice.variant
    assert choice.minimum_score == 0.9, "the owner signed it"
    save_choice(home, package.digest, Choice("litert-float32", 1, choice.at, 0, 0, choice.measured))
    with AgentProcess(home.folder) as running:
        assert running.answers(PNG)["variant"] == "litert-float32"


def test_a_choice_that_does_not_start_any_more_is_forgotten_and_the_usual_variant_serves(home: Home, package: Package) -> None:
    save_choice(home, package.digest, Choice("onnx-gone", 1, "2026-01-01T00:00:00.000Z", 0, 0, ()))
    with AgentProcess(home.folder) as running:
        assert running.answers(PNG)["variant"] == "onnx-float32"
    assert load_choice(home, package.digest) is None


def test_a_budget_that_nothing_meets_changes_nothing(home: Home, package: Package) -> None:
    answer = call(home, "--budget-ms", "0.000001")
    assert answer.exit_code == 1
    assert "the budget is 1e-06 ms" in answer.stdout
    assert "no variant meets what is asked" in answer.output
    assert load_choice(home, package.digest) is None


def with_wrong_labels(samples: bytes) -> bytes:
    """An acceptance set of which the version answers two thirds rightly."""
    with np.load(io.BytesIO(samples)) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["labels"] = np.where(changed["labels"] == 0, 1, changed["labels"])
    target = io.BytesIO()
    np.savez(target, **changed)
    return target.getvalue()


def test_the_signed_minimum_holds_whatever_the_caller_asks_for(home: Home, package: Package, tmp_path: Path) -> None:
    samples = with_wrong_labels(make_acceptance(tmp_path / "again", model="digits")[1])
    (home.objects / sha256_of(samples)).write_bytes(samples)
    memory = Memory(home.state / "memory.json")
    memory.keep_acceptance("digits", (sha256_of(samples),), 0.9)
    answer = call(home, "--minimum-score", "0.1")
    assert answer.exit_code == 1
    assert "answers 66.7% of the acceptance samples rightly, at least 90.0% are needed" in answer.stdout
    assert load_choice(home, package.digest) is None
    memory.keep_acceptance("digits", (sha256_of(samples),), 0.6)
    assert call(home, "--minimum-score", "0.1").exit_code == 0
    choice = load_choice(home, package.digest)
    assert choice is not None
    assert choice.minimum_score == 0.6
    assert [measured.acceptance_score for measured in choice.measured] == 2 * [pytest.approx(2 / 3)]


def test_an_acceptance_set_that_is_lost_is_no_licence(home: Home) -> None:
    for digest in Memory(home.state / "memory.json").acceptance_of("digits"):
        (home.objects / digest).unlink()
    answer = call(home)
    assert answer.exit_code == 1
    assert "is not on this disk any more" in answer.output


def test_a_lone_package_is_measured_and_nothing_is_kept_of_it(tmp_path: Path, package: Package, key) -> None:
    home = make_home(tmp_path / "home")
    refused = call(home, str(package.folder))
    assert (refused.exit_code, "no trusted key" in refused.output) == (1, True)
    (tmp_path / "key.json").write_bytes(public_key_to_bytes(key.public, "digits"))
    assert CliRunner().invoke(agent, ["trust", "add", str(tmp_path / "key.json"), "--home", str(home.folder)]).exit_code == 0
    answer = call(home, str(package.folder))
    assert answer.exit_code == 0, answer.output
    assert "is the best here" in answer.output
    assert not (home.state / "tuned.json").exists()


def test_without_a_version_it_says_what_to_do(tmp_path: Path) -> None:
    answer = call(make_home(tmp_path / "home"))
    assert answer.exit_code == 1
    assert "install one, or name a package" in answer.output
