"""`/dev/shm` without a free byte: whoever maps a named segment there dies by SIGBUS; the agent has no such segment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.running_agent import prepare_home
from contract.application import Application, Sink, Source
from contract.codec import encode
from contract.files import sha256_of
from contract.package import Package
from edge_agent.update.records import ApplicationRef, Installed
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD, SlotStore
from tests.edge_agent.test_fleet_updates import PNG
from tests.simulators.agents import AgentProcess
from tests.simulators.waiting import wait_until

FULL = 'mount -t tmpfs -o size=4k none /dev/shm && head -c 4096 /dev/zero > /dev/shm/full && exec "$@"'


def with_full_shared_memory() -> tuple[str, ...]:
    """What to put before a command; skips where this process may not mount."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("unshare") or not Path("/dev/shm").is_dir():
        pytest.skip("only root may give a process a small /dev/shm")
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", FULL, "sh")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a mount namespace")
    return before


def test_a_full_shared_memory_harms_nobody(tmp_path: Path, package: Package) -> None:
    before = with_full_shared_memory()
    home = prepare_home(tmp_path / "home", package, "onnx-float32")
    (home.folder / "frames").mkdir()
    (home.folder / "frames" / "one.png").write_bytes(PNG)
    source = Source("folder", {"path": "frames"})
    document = encode(Application(1, "watch", 1, package.manifest.name, source, (Sink("jsonl", {"path": "data/seen.jsonl"}),)))
    (home.objects / sha256_of(document)).write_bytes(document)
    store = SlotStore(home)
    installed = store.pointer("main", CURRENT)
    assert installed is not None
    for pointer in (CURRENT, LAST_KNOWN_GOOD):
        reference = ApplicationRef("watch", 1, sha256_of(document))
        store.point("main", pointer, Installed(installed.model, installed.variant, reference))
    with AgentProcess(home.folder, before=before) as agent:
        wait_until((home.folder / "data" / "seen.jsonl").exists, 20, agent.read_log)
        assert agent.answers(PNG)["model_version"] == "1"
        assert "signal" not in agent.read_log()
        assert agent.stop() == 0
