"""A device sends samples only because an operator asked and its owner allows it; they come to the labelling queue, each once."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contract.application import Application, CapturePolicy, Source
from contract.codec import encode
from desktop_app.release.keys import KeyStore
from tests.simulators.packages import make_frames, make_package
from tests.stories.fleet import Fleet
from tests.stories.programs import PASSPHRASE, Programs, wait_for

pytestmark = pytest.mark.story

MODEL, OPEN, CLOSED = "digits", "pi-open", "pi-closed"
PICTURES = 40
QUICK = ("--policy", "probation_s=0.5", "--policy", "probation_min_inferences=0", "--telemetry", "health_s=1")


@pytest.fixture(scope="module")
def fleet(programs: Programs) -> Iterator[Fleet]:
    """A server, and two devices that run the same application on a folder of pictures; one owner lets samples be kept."""
    programs.studio("new", programs.project)
    programs.studio("keys", "init")
    key = KeyStore(programs.keys, PASSPHRASE).model_key(MODEL)
    fleet = Fleet(programs)
    fleet.start_server()
    programs.studio("publish", make_package(programs.folder / "package", key=key, name=MODEL, version=1).folder, *fleet.address)
    programs.studio("application", "publish", write_application(programs.folder), *fleet.address)
    for device, allowed in ((OPEN, True), (CLOSED, False)):
        home = fleet.homes[device] = programs.folder / device
        programs.succeed("eyelet-agent", "enroll", fleet.make_claim(device), "--home", home)
        (home / "config.json").write_text(json.dumps({"capture_samples": allowed, "capture_per_hour": 36000}))
        fleet.start_device(device)
    wait_for("both devices online", fleet.all_online, explain=lambda: programs.log(OPEN))
    rollout = fleet.cli("rollout", "create", MODEL, 1, "--application", "door:1", *QUICK)
    programs.succeed("eyelet-fleet", "rollout", "watch", rollout["rollout"], "--every", 0.2, "--timeout", 60, "--data", fleet.data)
    yield fleet
    programs.end_all()


@pytest.fixture(autouse=True)
def _no_samples_yet(fleet: Fleet) -> None:
    """A server that has none: what a test before sent is deleted there."""
    fleet.cli("samples", "delete", "--matching")


def write_application(folder: Path) -> Path:
    """Everything that it sees it would keep, where the owner allows it."""
    (folder / "pictures").mkdir()
    for number, frame in enumerate(make_frames(PICTURES, 3)[0]):
        Image.fromarray(frame).save(folder / "pictures" / f"{number:03}.png")
    source = Source("folder", {"path": str(folder / "pictures"), "per_second": 20.0})
    application = Application(1, "door", 1, MODEL, source, (), capture=CapturePolicy(random_share=1.0))
    (folder / "door.json").write_bytes(encode(application))
    return folder / "door.json"


def kept_on(fleet: Fleet, device: str) -> set[str]:
    """Digests of the whole samples on a device; a line that is just being written or deleted is left out."""
    found = set()
    for path in (fleet.homes[device] / "captured" / "main").glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            found.add(json.loads(path.read_bytes())["sha256"])
    return found


def send(fleet: Fleet, device: str, **options: int) -> str:
    pairs = [part for name, value in options.items() for part in ("--option", f"{name}={value}")]
    (made,) = fleet.cli("command", "send", device, "--kind", "upload_samples", *pairs)
    return str(made["command_id"])


def ended(fleet: Fleet, command: str) -> dict[str, Any]:
    """The command when it has ended."""

    def over() -> dict[str, Any] | None:
        view: dict[str, Any] = fleet.request("GET", f"/v1/commands/{command}").json()
        return view if view["state"] not in {"waiting", "sent"} else None

    view: dict[str, Any] = wait_for(f"the end of {command}", over, 60, lambda: fleet.programs.log(OPEN))
    return view


def on_server(fleet: Fleet, **query: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = fleet.request("GET", "/v1/samples", params={"limit": 1000, **query}).json()
    return found


def test_what_the_operator_asks_for_arrives_and_no_more(fleet: Fleet) -> None:
    wait_for("kept samples", lambda: len(kept_on(fleet, OPEN)) >= 5, explain=lambda: fleet.programs.log(OPEN))
    view = ended(fleet, send(fleet, OPEN, most=4))
    assert view["state"] == "done", view
    assert view["text"].startswith("4 samples ("), view
    sent = on_server(fleet, command_id=view["command_id"])
    assert len(sent) == 4
    assert {sample["line"]["application"] for sample in sent} == {"door"}


def test_they_wait_in_the_labelling_queue_with_what_the_device_said(fleet: Fleet) -> None:
    wait_for("kept samples", lambda: len(kept_on(fleet, OPEN)) >= 5, explain=lambda: fleet.programs.log(OPEN))
    ended(fleet, send(fleet, OPEN, most=3))
    samples = on_server(fleet)
    report = fleet.programs.studio("fetch-samples", *fleet.address)
    queue = fleet.programs.studio("label", "--limit", 10_000)
    assert report["refused"] == []
    assert len(samples) == 3
    assert {(sample["sha256"], sample["line"]["label"]) for sample in samples} <= {
        (sample["sha256"], sample["predicted"]) for sample in queue
    }
    assert {(sample["label"], sample["queued"], sample["source"]) for sample in queue} == {(None, True, "device")}
    assert fleet.programs.studio("fetch-samples", *fleet.address)["queued"] == 0


def test_a_device_whose_owner_does_not_allow_it_refuses_in_words(fleet: Fleet) -> None:
    view = ended(fleet, send(fleet, CLOSED))
    assert view["state"] == "failed"
    assert "this device's owner does not allow it: capture_samples in config.json" in view["text"]
    assert on_server(fleet, device=CLOSED) == []
    assert not (fleet.homes[CLOSED] / "captured" / "main").exists()


def test_an_agent_killed_before_it_gave_the_result_sends_each_sample_once(fleet: Fleet) -> None:
    wait_for("many kept samples", lambda: len(kept_on(fleet, OPEN)) >= PICTURES // 2, 60)
    kept = kept_on(fleet, OPEN)
    command = send(fleet, OPEN, most=1000)
    wait_for("the first samples", lambda: on_server(fleet, command_id=command), 60, lambda: fleet.programs.log(OPEN))
    fleet.programs.kill(OPEN)
    fleet.start_device(OPEN)
    view = ended(fleet, command)
    assert view["state"] == "done", view
    digests = [sample["sha256"] for sample in on_server(fleet, device=OPEN)]
    assert len(digests) == len(set(digests))
    assert kept <= set(digests) | kept_on(fleet, OPEN), "none is lost"
    assert view["data"]["samples"] == len(on_server(fleet, command_id=command)), "what came before the kill counts, too"
