"""`eyelet-agent tune` on real packages: measured, kept, and used by the next start."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.running_agent import prepare_home
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
    Memory(home.state / "memory.json").keep_acceptance("digits", (acceptance.samples.sha256,))
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
