"""Workers and self-tests under a user of their own: what they are, and what is closed to them."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from benchmarks.running_agent import prepare_home
from contract.application import Application, Sink, Source
from contract.codec import encode
from contract.files import sha256_of
from contract.package import Package
from edge_agent.children import CHILDREN
from edge_agent.home import Home, make_home
from edge_agent.settings import Settings
from edge_agent.status import read_status
from edge_agent.update.records import ApplicationRef, Installed
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD, SlotStore
from edge_agent.worker import child_identity
from edge_agent.worker.child_identity import ChildIdentity, examine_identity, spawn_options
from edge_agent.worker_folders import IdentityError, settle_identity
from tests.simulators.agents import AgentProcess
from tests.simulators.certificates import write_certificate
from tests.simulators.children import is_alive
from tests.simulators.other_users import command_for_all, open_folder
from tests.simulators.packages import make_frames
from tests.simulators.waiting import wait_until

OTHER = "nobody"
TOKEN = "a-token-of-thirty-two-characters-"
PROBE = """
import json, os
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
DOORS = {
    "key": (HOME / "identity" / "device.key", "rb"),
    "outbox": (HOME / "state" / "outbox.sqlite", "rb"),
    "journal": (HOME / "state" / "journal.jsonl", "ab"),
    "pointer": (HOME / "slots" / "main" / "current.json", "r+b"),
    "endpoint": (HOME / "run" / "endpoint.json", "r+b"),
    "beside": (HOME / "new", "wb"),
    "version": (HOME / "versions" / "new", "wb"),
    "object": (HOME / "objects" / "new", "wb"),
    "token": (HOME / "token", "rb"),
    "tls": (HOME.parent / "key.pem", "rb"),
    "secret": (HOME / "secrets" / "camera", "rb"),
    "data": (HOME / "data" / "new", "wb"),
    "captured": (HOME / "captured" / "new", "wb"),
}

def outcome(path, mode):
    try:
        open(path, mode).close()
    except OSError as error:
        return type(error).__name__
    return "opened"

def become_root():
    try:
        os.setuid(0)
    except OSError as error:
        return type(error).__name__
    return "root"

def probe(record):
    lines = Path("/proc/self/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    found = {name: outcome(*door) for name, door in DOORS.items()}
    targets = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]
    said = {"found": found, "status": status, "files": targets, "setuid": become_root(), "umask": status["Umask"]}
    path = HOME / "data" / "said.json"
    path.with_suffix(".part").write_text(json.dumps(said))
    path.with_suffix(".part").rename(path)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    yield from open_folder()


@pytest.fixture(scope="module")
def before(folder: Path) -> tuple[str, ...]:
    (folder / "kept").mkdir()
    return tuple(command_for_all(folder / "kept"))


def install_probe(home: Home, package: Package) -> None:
    """An application that runs `PROBE` in the worker."""
    (home.folder / "hooks").mkdir()
    (home.folder / "hooks" / "probing.py").write_text(PROBE)
    (home.folder / "frames").mkdir()
    from PIL import Image

    Image.fromarray(make_frames(1, 0)[0][0]).save(home.folder / "frames" / "one.png")
    source = Source("folder", {"path": "frames"})
    document = encode(Application(1, "probe", 1, package.manifest.name, source, (Sink("callback", {"name": "probe"}),)))
    (home.objects / sha256_of(document)).write_bytes(document)
    store = SlotStore(home)
    installed = store.pointer("main", CURRENT)
    assert installed is not None
    with_probe = Installed(installed.model, installed.variant, ApplicationRef("probe", 1, sha256_of(document)))
    for pointer in (CURRENT, LAST_KNOWN_GOOD):
        store.point("main", pointer, with_probe)


@pytest.fixture(scope="module")
def agent(folder: Path, package: Package, before: tuple[str, ...]) -> Iterator[AgentProcess]:
    home = prepare_home(folder / "home", package, "onnx-float32")
    install_probe(home, package)
    for private in (home.identity / "device.key", home.state / "outbox.sqlite", home.folder / "token"):
        private.write_text(TOKEN)
        private.chmod(0o600)
    (home.folder / "secrets").mkdir()
    (home.folder / "secrets" / "camera").write_text("password")
    (home.folder / "secrets" / "camera").chmod(0o600)
    write_certificate(folder).key.chmod(0o600)
    settings: dict[str, Any] = {
        "worker_user": OTHER,
        "http_token_file": "token",
        "tls_cert": str(folder / "cert.pem"),
        "tls_key": str(folder / "key.pem"),
        "callbacks": {"probe": "probing:probe"},
    }
    (home.folder / "config.json").write_text(json.dumps(settings))
    (home.folder / "config.json").chmod(0o600)
    with AgentProcess(home.folder, before=before) as running:
        yield running


@pytest.fixture(scope="module")
def said(agent: AgentProcess) -> dict[str, Any]:
    """What the probe found."""
    path = agent.home / "data" / "said.json"
    wait_until(path.exists, 20, agent.read_log)
    return dict(json.loads(path.read_text()))


def workers(agent: AgentProcess) -> list[psutil.Process]:
    assert agent.process is not None
    return [child for child in psutil.Process(agent.process.pid).children() if "worker" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    """Empty of one that has just ended."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def test_a_worker_is_another_user_without_groups_capabilities_or_a_way_back(agent: AgentProcess, said: dict[str, Any]) -> None:
    other = pwd.getpwnam(OTHER)
    (worker,) = workers(agent)
    assert set(worker.uids()) == {other.pw_uid}
    assert set(worker.gids()) == {other.pw_gid}
    status = said["status"]
    assert (status["Groups"], status["NoNewPrivs"], said["umask"], said["setuid"]) == ([], ["1"], ["0007"], "PermissionError")
    assert {int(status[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


def test_keys_outbox_and_everything_that_decides_what_runs_are_closed_to_it(said: dict[str, Any]) -> None:
    opened = {name for name, outcome in said["found"].items() if outcome == "opened"}
    assert opened == {"secret", "data", "captured"}
    assert {outcome for name, outcome in said["found"].items() if name not in opened} == {"PermissionError"}


def test_it_has_no_file_open_but_what_it_was_handed(said: dict[str, Any]) -> None:
    assert [name for name in said["files"] if name.startswith("/") and not name.startswith(("/dev/", "/memfd:", "/proc/"))] == []


def test_it_serves_with_a_key_that_it_can_not_read_and_with_the_token(agent: AgentProcess) -> None:
    manager = urllib3.PoolManager(ca_certs=str(agent.home.parent / "cert.pem"), retries=False, timeout=10.0)
    url = f"{agent.endpoint['url']}/v2/models/digits"
    assert url.startswith("https://")
    assert manager.request("GET", url).status == 401
    assert manager.request("GET", url, headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    manager.clear()


def test_a_worker_that_dies_is_replaced_by_one_of_the_same_user(agent: AgentProcess) -> None:
    (worker,) = workers(agent)
    worker.kill()
    wait_until(lambda: [other.pid for other in workers(agent)] not in ([], [worker.pid]), 20)
    (worker,) = workers(agent)
    assert worker.username() == OTHER


def test_the_agents_own_folders_are_closed_afterwards(agent: AgentProcess) -> None:
    expected = {"identity": 0o700, "state": 0o700, "tuf": 0o700, "inbox": 0o700, "objects": 0o710, "versions": 0o750, "data": 0o770}
    assert {name: (agent.home / name).stat().st_mode & 0o777 for name in expected} == expected
    assert (agent.home / "token").stat().st_mode & 0o777 == 0o600


def test_a_supervisor_that_is_not_root_needs_three_capabilities_which_its_workers_lack(
    folder: Path, package: Package, before: tuple[str, ...]
) -> None:
    """As packaging/systemd/eyelet-agent.service starts it."""
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv")
    home, own, other = prepare_home(folder / "other", package, "onnx-float32"), pwd.getpwnam("daemon"), pwd.getpwnam(OTHER)
    (home.folder / "config.json").write_text(json.dumps({"worker_user": OTHER}))
    for path in (home.folder, *home.folder.rglob("*")):
        os.chown(path, own.pw_uid, own.pw_gid)
    three = "+setuid,+setgid,+kill"
    become = ["setpriv", "--reuid", str(own.pw_uid), "--regid", str(own.pw_gid), "--groups", str(other.pw_gid), "--no-new-privs"]
    become += ["--inh-caps", f"-all,{three}", "--ambient-caps", f"-all,{three}", "--bounding-set", f"-all,{three}"]
    with AgentProcess(home.folder, name="other", before=(*before, *become)) as agent:
        (worker,) = workers(agent)
        assert set(worker.uids()) == {other.pw_uid}
        lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        assert {line.split()[1] for line in lines if line.startswith(("CapPrm", "CapEff", "CapInh", "CapAmb"))} == {"0" * 16}
        assert (home.folder / "captured").stat().st_gid == other.pw_gid
        agent.kill()
        wait_until(lambda: not is_alive(worker.pid))


def test_a_self_test_is_another_user_too(folder: Path, package: Package, before: tuple[str, ...]) -> None:
    story = (
        "import asyncio, sys\n"
        "from edge_agent.worker.child_identity import examine_identity\n"
        "from edge_agent.worker.self_testing import SelfTestRequest, run_self_test\n"
        "request = SelfTestRequest(sys.argv[1], sys.argv[2], ('onnx-float32',), timeout_s=20)\n"
        f"print(asyncio.run(run_self_test(request, examine_identity({OTHER!r})[0])))\n"
    )
    command = [*before, sys.executable, "-c", story, str(package.folder), package.digest]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Permission denied" in answer.stdout, answer.stderr  # pytest's own folders are closed to other users


def test_a_user_that_does_not_exist_is_refused_in_words_and_the_default_one_is_only_missed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(IdentityError, match="there is no user no-such-user; make one: useradd"):
        settle_identity(home, "no-such-user")
    if child_identity.WORKER_USER not in {entry.pw_name for entry in pwd.getpwall()}:
        assert settle_identity(home, Settings().worker_user)[0] is None


def test_an_agent_without_such_a_user_says_why_in_its_status(tmp_path: Path) -> None:
    if child_identity.WORKER_USER in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("this machine has the user")
    home = make_home(tmp_path / "home")
    with AgentProcess(home.folder) as agent:
        wait_until(lambda: read_status(home.status) is not None, 20, agent.read_log)
        status = read_status(home.status)
        assert status is not None
        (finding,) = [finding for finding in status.findings if finding.subject == "Worker"]
        assert (finding.verdict, "there is no user eyelet-worker; make one: useradd" in finding.text) == ("note", True)


def test_the_agents_own_user_is_no_other_and_no_trouble() -> None:
    assert examine_identity(pwd.getpwuid(os.geteuid()).pw_name) == (None, "")


def test_a_place_that_the_user_can_not_enter_is_named(tmp_path: Path) -> None:
    if not child_identity.may_switch():
        assert "may not become" in examine_identity(OTHER)[1]
        return
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    identity, trouble = examine_identity(OTHER, closed)
    assert identity is None
    assert "can not enter" in trouble


def test_a_child_that_opens_a_device_gets_its_group_only() -> None:
    import grp

    identity = ChildIdentity(OTHER, 65534, 65534)
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    assert identity.with_devices({"camera", "folder", "jsonl"}).groups == ((known["video"],) if "video" in known else ())
    assert spawn_options(identity)["extra_groups"] == []
    assert spawn_options(None) == {}


def test_no_child_is_forgotten() -> None:
    """Whoever starts a child says as whom; TUF's and patches' children work in the supervisor's own folders and open no model."""
    agent = Path(child_identity.__file__).resolve().parent.parent
    sources = {path.relative_to(agent).as_posix(): path.read_text() for path in agent.rglob("*.py")}
    assert {name for name, text in sources.items() if "create_subprocess_exec(\n" in text and "spawn_options(" not in text} == {
        "children.py"
    }
    for module in CHILDREN.values():
        text = sources[module.removeprefix("edge_agent.").replace(".", "/") + ".py"]
        assert "confine()" in text or "worker.main import" in text, module


def test_a_frozen_agent_is_made_of_its_program_and_the_folder_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its modules lie in the program itself, so their own folder is nowhere."""
    monkeypatch.setattr(child_identity, "may_switch", lambda: True)
    monkeypatch.setattr(child_identity, "__file__", str(tmp_path / "nowhere" / "child_identity.pyc"))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    monkeypatch.setattr(sys, "prefix", "/usr/lib")
    identity, trouble = examine_identity(OTHER)
    assert (identity and identity.user, trouble) == (OTHER, "")
    (tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "closed"))
    assert "can not enter" in examine_identity(OTHER)[1]
