"""Write the golden files of the contract anew: `python -m tests.contract.write_golden`, only where a format gets a new version.

Old files stay; a new schema version gets a new folder beside them.
"""

import tempfile
from pathlib import Path

from contract.application import Application, CapturePolicy, Sink, Source
from contract.claims import Claim, build_token
from contract.codec import encode
from contract.commands import Command, CommandResult
from contract.manifest import FileEntry
from contract.messages import (
    DESIRED_PAYLOAD_TYPE,
    Ack,
    Desired,
    DesiredModel,
    DesiredSlot,
    Drift,
    Event,
    Health,
    Hello,
    PresenceMessage,
    Reported,
    ReportedSlot,
    UpdateEvent,
    UpdatePolicy,
    UpdateReport,
    VersionRef,
    Window,
)
from contract.package import write_archive
from contract.pairs import SCORE_DIFFERENCE_BOUNDS, Disagreement, PairedBlock, PairedResult
from contract.signing import generate_key, public_key_to_bytes, sign_document
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.states import HealthState, Presence, UpdateState
from contract.trust import ModelPolicy
from tests.contract.small_package import write_small_package

GOLDEN = Path(__file__).parent.parent / "golden" / "contract-1"
AT = "2026-01-01T00:00:00.000Z"
REF = VersionRef("digits", 1, "ab" * 32)


def messages() -> dict[str, object]:
    """One of each kind, with the fields that matter filled in."""
    update = UpdateEvent("main", UpdateState.DONE, REF, 7, previous=UpdateState.COMMITTING, rollout="r1", arm="treatment")
    desired = Desired(
        1, "demo", "pi-01", 7, AT, {"main": DesiredSlot(DesiredModel("digits", 1, FileEntry("ab" * 32, 900), "r1", "treatment"))}
    )
    return {
        "desired": desired,
        "reported": Reported(1, "pi-01", "boot", AT, "0.1.0", "x86-64-2", 7, {"main": ReportedSlot(REF, REF, "onnx-int8")}),
        "hello": Hello(1, "boot", 3, 7, "stream"),
        "event": Event(1, "stream", 5, "boot", AT, "update", update),
        "ack": Ack(1, "stream", 5),
        "health": Health(1, "boot", AT, HealthState.HEALTHY, (), 3.5, 8 << 30, 4 << 30, 90 << 20, 10 << 30, 3600.0, "0.1.0", 51.5),
        "window": Window(
            schema_version=1,
            stream="stream",
            sequence=6,
            boot_id="boot",
            index=0,
            slot="main",
            target=REF,
            variant="onnx-int8",
            started_at=AT,
            duration_s=60.0,
            count=3,
            latency_us=Histogram.of(LATENCY_BOUNDS_US, [150.0, 160.0, 900.0]),
            confidence=Histogram.of(CONFIDENCE_BOUNDS, [0.5, 0.9, 0.99]),
            class_counts={"zero": 2, "one": 1},
            drift=Drift(0.1, 0.2, "ok"),
        ),
        "presence": PresenceMessage(1, Presence.ONLINE, 3, "boot"),
        "command": Command(1, "c1", "pi-01", "benchmark", AT, {"seconds": 5}),
        "command-result": CommandResult(1, "c1", ok=True, text="done"),
        "application": Application(1, "counting", 1, "digits", Source("folder"), (Sink("jsonl"),)),
        "policy": ModelPolicy(1, "digits", 2),
        **shadow_messages(),
    }


def shadow_messages() -> dict[str, object]:
    """A shadow run: how it is wished for, and what is told of it."""
    policy = UpdatePolicy(shadow_s=600.0, shadow_share=0.5, shadow_min_pairs=1000, shadow_max_disagreement=0.05)
    slot = DesiredSlot(DesiredModel("digits", 1, FileEntry("ab" * 32, 900)))
    paired = PairedResult(
        pairs=3,
        disagreements=1,
        disagreed=(Disagreement("7", "1", 1),),
        errors=1,
        dropped=2,
        current_latency_us=Histogram.of(LATENCY_BOUNDS_US, [150.0, 160.0, 900.0]),
        candidate_latency_us=Histogram.of(LATENCY_BOUNDS_US, [140.0, 170.0, 180.0]),
        score_difference=Histogram.of(SCORE_DIFFERENCE_BOUNDS, [-0.5, 0.0, 0.1]),
        block_s=30.0,
        blocks=(PairedBlock(2, 0), PairedBlock(1, 1)),
    )
    left = UpdateEvent("main", UpdateState.ACTIVATING, REF, 7, previous=UpdateState.SHADOWING, paired=paired)
    skipped = PairedResult(skipped="the model stays the same")
    report = UpdateReport(UpdateState.DONE, REF, 7, paired=skipped)
    capture = CapturePolicy(on_disagreement=True)
    return {
        "desired-shadow": Desired(1, "demo", "pi-01", 7, AT, {"main": slot}, policy=policy),
        "event-shadow": Event(1, "stream", 5, "boot", AT, "update", left),
        "reported-shadow": Reported(1, "pi-01", "boot", AT, "0.1.0", "x86-64-2", 7, {"main": ReportedSlot(REF, REF, update=report)}),
        "application-disagreement": Application(1, "counting", 1, "digits", Source("folder"), (), capture=capture),
    }


def write_golden(folder: Path) -> None:
    """Write every file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = generate_key()
    with tempfile.TemporaryDirectory() as name:
        write_small_package(Path(name) / "package", key)
        write_archive(Path(name) / "package", folder / "digits-1.eyelet")
    (folder / "model-digits.pub.json").write_bytes(public_key_to_bytes(key.public, "model-digits"))
    director = generate_key()
    (folder / "director.pub.json").write_bytes(public_key_to_bytes(director.public, "director"))
    for kind, message in messages().items():
        (folder / f"{kind}.json").write_bytes(encode(message) + b"\n")
    (folder / "desired.dsse.json").write_bytes(sign_document(encode(messages()["desired"]), DESIRED_PAYLOAD_TYPE, director))
    claim = Claim(1, "c1", "http://127.0.0.1:8470", "s" * 43, "cd" * 32, "demo", "pi-01", AT)
    (folder / "claim.token").write_text(build_token(claim) + "\n")


if __name__ == "__main__":
    write_golden(GOLDEN)
