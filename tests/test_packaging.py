"""What is delivered beside the code: units, broker configuration, bundle specs."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contract.topics import FROM_DEVICE, PREFIX, TO_DEVICE
from edge_agent.worker.child_identity import WORKER_USER

PACKAGING = Path(__file__).resolve().parent.parent / "packaging"


@pytest.mark.parametrize("unit", sorted(path.name for path in (PACKAGING / "systemd").glob("*.service")))
def test_systemd_accepts_the_unit(unit: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not on this machine")
    answer = subprocess.run(["systemd-analyze", "verify", PACKAGING / "systemd" / unit], capture_output=True, text=True, check=False)
    ours = [line for line in answer.stderr.splitlines() if unit in line]
    assert answer.returncode == 0, answer.stderr
    assert not ours


@pytest.mark.parametrize("unit", ["eyelet-agent.service", "eyelet-fleet.service"])
def test_a_unit_starts_a_command_that_exists(unit: str) -> None:
    text = (PACKAGING / "systemd" / unit).read_text()
    program, verb = re.search(r"ExecStart=/usr/bin/env (\S+) (\S+)", text).groups()
    answer = subprocess.run([program, verb, "--help"], capture_output=True, text=True, check=False, env=_path())
    assert answer.returncode == 0, answer.stderr
    for option in re.findall(r" (--[a-z-]+)", text):
        assert option in answer.stdout


def test_the_agents_unit_leaves_the_settings_to_their_owner() -> None:
    command = re.search(r"^ExecStart=(.*)$", (PACKAGING / "systemd" / "eyelet-agent.service").read_text(), re.MULTILINE)
    assert command is not None
    assert re.findall(r"--[a-z-]+", command[1]) == ["--home"]  # any other would beat config.json


def test_the_agents_users_are_made_as_the_unit_needs_them(tmp_path: Path) -> None:
    unit = (PACKAGING / "systemd" / "eyelet-agent.service").read_text()
    made = (PACKAGING / "systemd" / "sysusers.d" / "eyelet-agent.conf").read_text()
    assert set(re.findall(r"^u (\S+)", made, re.MULTILINE)) == {re.search(r"^User=(\S+)", unit, re.MULTILINE).group(1), WORKER_USER}
    assert f"m eyelet {WORKER_USER}" in made
    assert f"SupplementaryGroups={WORKER_USER}\n" in unit
    if os.geteuid() == 0 and shutil.which("systemd-sysusers"):
        (tmp_path / "etc").mkdir()
        subprocess.run(["systemd-sysusers", f"--root={tmp_path}", PACKAGING / "systemd" / "sysusers.d" / "eyelet-agent.conf"], check=True)
        assert re.search(r"^eyelet-worker:x:\d+:eyelet$", (tmp_path / "etc" / "group").read_text(), re.MULTILINE)


def _path() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_brokers_access_rules_are_those_of_the_contract() -> None:
    lines = (PACKAGING / "mosquitto" / "access.acl").read_text().splitlines()
    rules = {line for line in lines if line.startswith("pattern ")}
    expected = {f"pattern read {PREFIX}/+/%u/{channel.value}" for channel in TO_DEVICE}
    expected |= {f"pattern write {PREFIX}/+/%u/{channel.value}" for channel in FROM_DEVICE}
    assert rules == expected
    assert f"topic readwrite {PREFIX}/#" in lines


@pytest.mark.parametrize("spec", sorted(path.name for path in (PACKAGING / "pyinstaller").iterdir() if path.suffix in {".spec", ".py"}))
def test_a_bundle_spec_is_python_and_names_files_that_exist(spec: str) -> None:
    text = (PACKAGING / "pyinstaller" / spec).read_text()
    ast.parse(text)
    for name in re.findall(r'"(\w+_entry\.py)"', text):
        assert (PACKAGING / "pyinstaller" / name).is_file()
