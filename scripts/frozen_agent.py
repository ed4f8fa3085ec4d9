"""Try a frozen agent whole, with a simulated fleet: `python -m scripts.frozen_agent PROGRAM`.

What a bundle forgot shows only when it is used: each of the agent's children is a program of its own,
and much is imported late. So the frozen agent is enrolled, shows its page while it has no model, takes
a version and an application whose source is a folder of pictures, then a second version as a patch
with a shadow run before it, and answers; `doctor` must find nothing wrong. For root, everything that
opens a model must run as another user.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import psutil
import urllib3
from PIL import Image

from contract.application import Application, Sink, Source
from contract.deltas import PatchKind
from contract.package import Package, list_files, open_package, write_manifest
from contract.signing import generate_key, public_key_to_bytes
from contract.states import UpdateState
from edge_agent.worker.child_identity import may_switch
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import QUICK, FleetSimulator
from tests.simulators.packages import make_frames, make_package
from tests.simulators.waiting import wait_until

OTHER_USER = "nobody"
DEVICE, MODEL, FILE = "pi-01", "digits", "onnx-float32.onnx"
VARIANTS = ("onnx-float32", "litert-float32")
APPLICATION = ("door", 1)
PATIENCE_S = 120.0
PICTURES, PER_SECOND = 12, 20.0
NOTE_WORDS = 20_000
IN_SHADOW = msgspec.structs.replace(QUICK, shadow_s=1.0, shadow_min_pairs=3, self_test_timeout_s=PATIENCE_S)


class FrozenAgent(AgentProcess):
    """The program itself in place of a Python with the agent's modules."""

    def __init__(self, program: Path, home: Path) -> None:
        super().__init__(home)
        self.command = (str(program),)

    def children(self) -> dict[str, str]:
        """Names of the children that run now, and under which user."""
        pid = self.process.pid if self.process is not None else os.getpid()
        there = [child.info for child in psutil.process_iter(["ppid", "cmdline", "username"]) if child.info["ppid"] == pid]
        return {info["cmdline"][2]: info["username"] for info in there if (info["cmdline"] or [])[1:2] == ["child"]}


class Trial:
    """One frozen agent and its fleet. Each step raises AssertionError where something does not work."""

    def __init__(self, program: Path, folder: Path, fleet: FleetSimulator) -> None:
        self.program, self.folder, self.fleet = program, folder, fleet
        self.key = generate_key()
        self.agent = FrozenAgent(program, folder / "home")
        (folder / "key.pub.json").write_bytes(public_key_to_bytes(self.key.public, "owner"))

    def run(self, *arguments: str | Path) -> str:
        """One command of the program; its output."""
        answer = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False, cwd=self.folder, env=_bare())
        if answer.returncode:
            raise AssertionError(f"{' '.join(map(str, arguments))} ended with {answer.returncode}:\n{answer.stdout}{answer.stderr}")
        return answer.stdout

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until it holds."""
        wait_until(condition, PATIENCE_S, lambda: f"{what} did not come about:\n{self.agent.read_log()}")

    def check(self, holds: bool, what: str) -> None:
        """Raises AssertionError with the agent's log where it does not hold."""
        if not holds:
            raise AssertionError(f"{what}\n{self.agent.read_log()}")

    def show_page(self) -> None:
        """A device without a model says so in a browser."""

        def shown() -> bool:
            answer = urllib3.request("GET", self.agent.endpoint["url"], timeout=PATIENCE_S, headers={"Connection": "close"})
            return b"<html" in answer.data.lower() and "page" in self.agent.children()

        self.wait(shown, "the status page without a model")

    def publish(self, version: int) -> Package:
        """A version whose model is long enough for a patch, with a note that its answers do not depend on."""
        folder = self.folder / f"package-{version}"
        package = make_package(folder, key=self.key, name=MODEL, version=version, variants=VARIANTS)
        model = onnx.load(folder / FILE)
        onnx.helper.set_model_props(model, {"note": "the same " * NOTE_WORDS + f"version {version}"})
        onnx.save(model, folder / FILE)
        files = list_files(folder, package.manifest.files)
        write_manifest(folder, msgspec.structs.replace(package.manifest, files=files), self.key)
        package = open_package(folder, {MODEL: self.key.public})
        self.fleet.publish(package)
        return package

    def offer_patch(self, old: Package, new: Package) -> None:
        """A zstd patch from one version's model to the next."""
        base, target = (package.path_of(FILE).read_bytes() for package in (old, new))
        self.fleet.http.offer_patch(new.manifest.files[FILE].sha256, base, PatchKind.ZSTD, target)

    def publish_application(self) -> None:
        """Pictures of a folder, one after the other and again; every answer goes into a file."""
        pictures = self.folder / "pictures"
        pictures.mkdir()
        for number, frame in enumerate(make_frames(PICTURES, 3)[0]):
            Image.fromarray(frame).save(pictures / f"{number:03}.{'png' if number % 2 else 'jpg'}")
        source = Source("folder", {"path": str(pictures), "per_second": PER_SECOND, "repeat": True})
        sink = Sink("jsonl", {"path": "data/predictions.jsonl"})
        self.fleet.publish_application(Application(1, *APPLICATION, MODEL, source, (sink,)))

    def update(self, version: int) -> str:
        """Wish for a version and wait until it serves; what its events say."""
        revision = self.fleet.wish(DEVICE, MODEL, version, application=APPLICATION, policy=IN_SHADOW)
        final = self.fleet.wait_for_final(revision, PATIENCE_S)
        self.check(final.state is UpdateState.DONE, f"version {version} ended in {final}")
        return "\n".join(event.detail for event in self.fleet.updates(revision))

    def predictions(self) -> int:
        """Lines that the application has written."""
        path = self.agent.home / "data" / "predictions.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0


def _bare() -> dict[str, str]:
    """No Python of this machine helps out."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def try_updates(trial: Trial) -> None:
    """Two versions; one comes as a patch and proves itself in the shadow."""
    trial.publish_application()
    first = trial.publish(1)
    trial.update(1)
    print("  took a version: TUF, self-test, worker")
    show_other_user(trial)
    trial.wait(lambda: trial.predictions() > PICTURES and "capture" in trial.agent.children(), "an answer for each picture of the folder")
    print(f"  {trial.predictions()} pictures of a folder came through the capture process")
    second = trial.publish(2)
    trial.offer_patch(first, second)
    told = trial.update(2)
    trial.check("1 file came as a patch" in told, f"no file came as a patch: {told}")
    states = [event.state for event in trial.fleet.updates()]
    trial.check(UpdateState.SHADOWING in states, "nothing ran in the shadow")
    print("  took the next one as a patch, after a shadow run")


def open_to_others(program: Path, folder: Path) -> Path:
    """For root: a copy of the bundle where every user may enter; gives its program."""
    folder.chmod(0o711)
    return shutil.copytree(program.parent, folder / "bundle", symlinks=True) / program.name


def show_other_user(trial: Trial) -> None:
    """Models are another user's affair where this process may switch users."""
    if not may_switch():
        print("  not shown, for want of root: models run as another user")
        return
    users = trial.agent.children()
    trial.check(users.get("worker") == OTHER_USER, f"its children run as {users}, the worker should as {OTHER_USER}")
    print(f"  models run as {OTHER_USER}")


def try_agent(program: Path, folder: Path) -> None:
    """Raises AssertionError with the agent's log where something does not work."""
    program = program.resolve()
    if may_switch():
        program = open_to_others(program, folder)
    with FleetSimulator(folder / "fleet") as fleet:
        trial = Trial(program, folder, fleet)
        trial.run("enroll", fleet.make_claim(DEVICE), "--home", trial.agent.home)
        if may_switch():
            (trial.agent.home / "config.json").write_bytes(msgspec.json.encode({"worker_user": OTHER_USER}))
        with trial.agent:
            trial.show_page()
            print("  enrolled, and its page says that there is no model")
            try_updates(trial)
            found = trial.run("doctor", "--home", trial.agent.home)
            trial.check("WRONG" not in found, found)
            print("  doctor finds nothing wrong")
            for variant in VARIANTS:
                package, key = folder / "package-2", folder / "key.pub.json"
                print("  " + trial.run("predict", package, "--key", key, "--variant", variant, "--golden").strip())
            trial.check(trial.agent.stop() == 0, "it did not end by itself")
    trial.check("Traceback" not in trial.agent.read_log(), "something failed in its log")


def main() -> int:
    """1 where something does not work."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():  # noqa: PLR2004
        print(
            "usage: python -m scripts.frozen_agent PROGRAM (`make bundles` builds dist/bundles/eyelet-agent/eyelet-agent)", file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory() as folder:
        try:
            try_agent(Path(sys.argv[1]), Path(folder))
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print("the frozen agent works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
