"""What a device builder tries first: trust a key, install a package, look at the doctor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contract.messages import UpdatePolicy
from contract.package import write_archive
from contract.signing import PrivateKey, generate_key, public_key_to_bytes
from edge_agent.cli import agent
from edge_agent.update import lone_package
from tests.simulators.packages import make_package


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`good.eyelet`, `wrong.eyelet` (its golden samples are wrong), `stranger.eyelet`, `key.pub.json`."""
    folder, key = tmp_path_factory.mktemp("packages"), generate_key()
    (folder / "key.pub.json").write_bytes(public_key_to_bytes(key.public, "digits"))
    kinds: tuple[tuple[str, int, str, PrivateKey], ...] = (
        ("good", 1, "good", key),
        ("wrong", 2, "wrong-golden", key),
        ("stranger", 3, "good", generate_key()),
    )
    for name, version, kind, signer in kinds:
        make_package(folder / name, key=signer, version=version, kind=kind)
        write_archive(folder / name, folder / f"{name}.eyelet")
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lone_package, "LONE_POLICY", UpdatePolicy(probation_s=0.3, probation_min_inferences=0))


def call(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(agent, [*arguments, "--home", str(home)])


def test_a_lone_package_is_installed_once_its_key_is_trusted(packages: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    refused = call(home, "install", str(packages / "good.eyelet"))
    assert refused.exit_code == 1
    assert "no trusted key vouches for" in refused.output
    assert call(home, "trust", "add", str(packages / "key.pub.json")).exit_code == 0
    assert [key["name"] for key in json.loads(call(home, "trust", "list", "--json").stdout)] == ["digits"]
    installed = call(home, "install", str(packages / "good.eyelet"), "--json")
    assert installed.exit_code == 0, installed.output
    assert json.loads(installed.stdout)["state"] == "done"
    findings = {finding["subject"]: finding for finding in json.loads(call(home, "doctor", "--json").stdout)}
    assert findings["Models"]["text"] == "main runs digits 1 (onnx-float32)"
    assert not list((home / "inbox").iterdir())


def test_a_package_that_computes_something_else_here_is_refused_and_stays_out(packages: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    call(home, "trust", "add", str(packages / "key.pub.json"))
    for expected in ("golden_mismatch", "quarantined"):
        answer = call(home, "install", str(packages / "wrong.eyelet"))
        assert answer.exit_code == 1
        assert expected in answer.output
    assert not (home / "slots" / "main" / "current.json").exists()


@pytest.mark.parametrize("damage", ["truncated", "tampered", "stranger", "no package"])
def test_a_bad_package_is_refused_with_the_reason(packages: Path, tmp_path: Path, damage: str) -> None:
    home, path = tmp_path / "home", tmp_path / "bad.eyelet"
    call(home, "trust", "add", str(packages / "key.pub.json"))
    data = bytearray((packages / ("stranger.eyelet" if damage == "stranger" else "good.eyelet")).read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "tampered":
        place = bytes(data).index(b"ir_version") if b"ir_version" in data else data.index(b"colours")
        data[place] ^= 1
    elif damage == "no package":
        data = bytearray(b"PK\x03\x04 nonsense")
    path.write_bytes(data)
    answer = call(home, "install", str(path))
    assert answer.exit_code == 1
    words = {"truncated": "not a whole package", "tampered": "", "stranger": "no trusted key", "no package": "not a whole package"}
    assert words[damage] in answer.output
    assert "Traceback" not in answer.output


def test_a_package_that_would_fill_the_disk_is_not_copied(packages: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    call(home, "trust", "add", str(packages / "key.pub.json"))
    (home / "config.json").write_text(json.dumps({"disk_reserve_bytes": 1 << 60}))
    refused = call(home, "install", str(packages / "good.eyelet"))
    assert refused.exit_code == 1
    assert "free some space" in refused.output
    assert not list((home / "inbox").iterdir())


def test_the_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    nowhere = call(tmp_path / "nowhere", "doctor")
    assert nowhere.exit_code == 1
    assert "WRONG Folder" in nowhere.output
    assert "eyelet-agent enroll TOKEN" in nowhere.output
    home = tmp_path / "home"
    call(home, "trust", "list")
    (home / "config.json").write_text('{"http_prot": 1}')
    answer = call(home, "doctor")
    assert answer.exit_code == 1
    assert "did you mean 'http_port'" in answer.output


def test_the_doctor_says_whether_the_watched_folder_is_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    call(home, "trust", "list")
    (tmp_path / "file").touch()
    (tmp_path / "stick").mkdir()
    cases = (
        ("stick", "good", "is looked into"),
        ("gone", "note", "is not there, so no bundle comes from it"),
        ("file", "wrong", "no folder"),
    )
    for name, verdict, words in cases:
        (home / "config.json").write_text(json.dumps({"usb_folder": str(tmp_path / name)}))
        (finding,) = [one for one in json.loads(call(home, "doctor", "--json").stdout) if one["subject"] == "USB folder"]
        assert finding["verdict"] == verdict
        assert f"{tmp_path / name} " in finding["text"]
        assert words in finding["text"]
        assert bool(finding["advice"]) == (verdict != "good")
    (home / "config.json").unlink()
    assert "USB folder" not in call(home, "doctor").output


def test_an_error_is_one_sentence_and_a_wrong_use_is_exit_code_two(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge_agent.cli"]
    answer = subprocess.run([*command, "enroll", "nonsense", "--home", str(tmp_path / "home")], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: a claim token begins with")
    assert len(answer.stderr.splitlines()) == 1
    assert subprocess.run([*command, "enrol"], capture_output=True, check=False).returncode == 2
