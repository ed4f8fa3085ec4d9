"""What root types in a folder whose agent is another user must not lock that user out."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.signing import generate_key, public_key_to_bytes
from edge_agent.commands import options
from edge_agent.home import Home, make_home
from edge_agent.ownership import Foreign, find_foreign
from tests.simulators.other_users import command_for_all, open_folder
from tests.simulators.packages import make_package

OTHER = "daemon"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    yield from open_folder()


@pytest.fixture(scope="module")
def before(folder: Path) -> list[str]:
    (folder / "kept").mkdir()
    return command_for_all(folder / "kept")


@pytest.fixture
def home(folder: Path, before: list[str]) -> Iterator[Home]:
    """An empty folder of the other user's, as the Debian package makes it."""
    del before  # which skips this where users can not be switched
    path = folder / "home"
    path.mkdir(mode=0o711)
    os.chown(path, other().pw_uid, other().pw_gid)
    yield Home(path)
    shutil.rmtree(path)


def other() -> pwd.struct_passwd:
    return pwd.getpwnam(OTHER)


def as_other() -> list[str]:
    return ["setpriv", "--reuid", str(other().pw_uid), "--regid", str(other().pw_gid), "--clear-groups"]


def type_command(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def agent(*words: str | Path) -> tuple[str | Path, ...]:
    return sys.executable, "-m", "edge_agent.cli", *words


def owners(home: Home) -> dict[str, int]:
    return {str(path.relative_to(home.folder)): path.lstat().st_uid for path in (home.folder, *home.folder.rglob("*"))}


def test_what_root_installs_is_the_agents_own(home: Home, folder: Path, before: list[str]) -> None:
    key = generate_key()
    package = make_package(folder / "package", key=key, name="digits", version=1)
    (folder / "key.pub.json").write_bytes(public_key_to_bytes(key.public, "owner"))
    for words in (("trust", "add", folder / "key.pub.json"), ("install", package.folder)):
        said = type_command(*before, *agent(*words, "--home", home.folder))
        assert said.returncode == 0, said.stderr
    found = owners(home)
    assert {path for path, uid in found.items() if uid != other().pw_uid} == set()
    assert any(path.startswith("versions/") for path in found)
    assert find_foreign(home) is None


def test_a_file_that_the_agents_user_may_not_read_is_told_of(home: Home, folder: Path, before: list[str]) -> None:
    secret = folder / "closed"
    secret.mkdir(mode=0o700)
    (secret / "key.pub.json").write_text("{}")
    said = type_command(*before, *agent("trust", "add", secret / "key.pub.json", "--home", home.folder))
    assert said.returncode == 1
    assert f"is closed to {OTHER}; put it where that user may use it" in said.stderr
    assert "Traceback" not in said.stderr


def test_an_agent_that_is_locked_out_of_its_folder_says_how_to_get_it_back(home: Home, before: list[str]) -> None:
    made = make_home(home.folder)
    os.chown(made.state, other().pw_uid, other().pw_gid)
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv")
    said = type_command(*before, *as_other(), *agent("run", "--home", home.folder, "--http-port", "0"))
    assert said.returncode == 1
    assert f"identity belongs to root, and the agent is {OTHER}. Give it back: sudo chown -R {OTHER}: {home.folder}" in said.stderr
    assert "Traceback" not in said.stderr


def test_whoever_is_not_the_agents_user_is_told_whom_to_be(home: Home, before: list[str]) -> None:
    make_home(home.folder)
    os.chown(home.folder, 0, 0)
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv")
    said = type_command(*before, *as_other(), *agent("trust", "list", "--home", home.folder))
    assert (said.returncode, "belongs to root, and this is daemon: sudo -u root eyelet-agent" in said.stderr) == (1, True), said.stderr


def test_what_is_not_the_agents_own_is_found(home: Home) -> None:
    made = make_home(home.folder)
    for path in home.folder.rglob("*"):
        os.chown(path, other().pw_uid, other().pw_gid)
    assert find_foreign(home) is None
    (made.state / "journal.jsonl").touch()
    assert find_foreign(home) == Foreign(made.state / "journal.jsonl", "root", OTHER)


def test_where_root_runs_the_agent_what_root_types_stays_roots(home: Home, folder: Path, before: list[str]) -> None:
    """Somebody's folder with an agent that a unit of root's runs: nothing there is wrong, and nothing may be locked for it."""
    made = make_home(home.folder)
    os.chown(made.state, other().pw_uid, other().pw_gid)
    made.status.write_text("{}")
    assert find_foreign(home) is None
    (folder / "roots.pub.json").write_bytes(public_key_to_bytes(generate_key().public, "roots"))
    said = type_command(*before, *agent("trust", "add", folder / "roots.pub.json", "--home", home.folder))
    assert said.returncode == 0, said.stderr
    assert {path.lstat().st_uid for path in made.trust.iterdir()} == {0}


def test_the_systems_folder_is_meant_where_the_user_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "system"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setattr(options, "SYSTEM_HOME", str(system))
    own = str(tmp_path / "me" / ".local" / "share" / "eyelet-agent")
    assert options._default_home() == own
    system.mkdir()
    assert options._default_home() == str(system)
    Path(own).mkdir(parents=True)
    assert options._default_home() == own


def test_doctor_tells_whoever_asks_whose_the_folder_is(home: Home, before: list[str]) -> None:
    made = make_home(home.folder)
    for path in home.folder.rglob("*"):
        os.chown(path, other().pw_uid, other().pw_gid)
    pointer = made.slots / "main" / "current.json"
    pointer.parent.mkdir()
    said = type_command(*before, *agent("doctor", "--home", home.folder))
    assert f"WRONG Folder: {pointer.parent} belongs to root, and the agent is {OTHER}, who can not replace it" in said.stdout
    assert f"→ Give it back: sudo chown -R {OTHER}: {home.folder}" in said.stdout
    os.chown(pointer.parent, other().pw_uid, other().pw_gid)
    assert "WRONG Folder" not in type_command(*before, *agent("doctor", "--home", home.folder)).stdout
    os.chown(made.identity, 0, 0)
    said = type_command(*before, *as_other(), *agent("doctor", "--home", home.folder))
    assert f"identity belongs to root, and the agent is {OTHER}. Give it back" in said.stdout
    assert (said.returncode, said.stderr) == (1, "")
