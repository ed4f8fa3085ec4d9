"""Doors for documents: packages, signed wishes, applications, tokens, keys, and the lines between supervisor and worker."""

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from contract.application import Application, Rule, Sink, Source
from contract.claims import Claim, build_token, parse_token
from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.manifest import MANIFEST_NAME, MANIFEST_PAYLOAD_TYPE, SIGNATURE_NAME, FileEntry
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired, DesiredApplication, DesiredModel, DesiredSlot, UpdatePolicy, VersionRef, Window
from contract.package import open_package, opened, write_archive
from contract.reference import Reference, measure_drift
from contract.signing import generate_key, public_key_from_bytes, public_key_to_bytes, sign_document
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from edge_agent.engine.engine import open_variant
from edge_agent.engine.errors import EngineError
from edge_agent.engine.golden import load_golden
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sinks.sink import SinkError
from edge_agent.sources.source import SourceError, read_options
from edge_agent.sources.table import SOURCES
from edge_agent.update import machine
from edge_agent.update.events import Slot, Wished
from edge_agent.update.records import Installed
from edge_agent.update.wishes import WishRefusedError, verify_desired, wishes_of
from edge_agent.window_book import WindowBook, load_reference
from edge_agent.worker.messages import (
    Drain,
    Failed,
    Flush,
    Ping,
    Pong,
    Probe,
    Probed,
    Ready,
    RuleFired,
    SourceEnded,
    Stop,
    WindowStats,
    WorkerRequest,
    decode_from_worker,
    decode_request,
    decode_to_worker,
)
from tests.edge_agent.fuzz.fuzzing import Door, Opened
from tests.edge_agent.fuzz.zips import tricky_zips
from tests.simulators.packages import make_package

KEY = generate_key()
DIGEST = "ab" * 32


@contextlib.contextmanager
def package_archive(folder: Path) -> Iterator[Opened]:
    """A `*.eyelet` from anyone, as `install` and the inbox take it."""
    package = make_package(folder / "good", key=KEY)
    archive = write_archive(package.folder, folder / "good.eyelet").read_bytes()
    trusted = {"owner": KEY.public}

    def take(data: bytes) -> str:
        (folder / "one.eyelet").write_bytes(data)
        with opened(folder / "one.eyelet", trusted, folder) as found:
            assert found.digest == package.digest, "only the very package that was signed comes through"
        return ""

    def check() -> None:
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["good", "good.eyelet", "one.eyelet"], left

    yield Opened([archive, *tricky_zips()], take, (ContractError,), check)


@contextlib.contextmanager
def signed_package(folder: Path) -> Iterator[Opened]:
    """A manifest that is hostile although its signature is right: the key was stolen."""
    package = make_package(folder / "good", key=KEY)
    copy = folder / "copy"
    shutil.copytree(package.folder, copy)

    def take(data: bytes) -> str:
        (copy / MANIFEST_NAME).write_bytes(data)
        (copy / SIGNATURE_NAME).write_bytes(sign_document(data, MANIFEST_PAYLOAD_TYPE, KEY))
        found = open_package(copy, {"owner": KEY.public})
        manifest = found.manifest
        load_golden(found.path_of(manifest.golden), manifest)
        for name, variant in manifest.variants.items():
            open_variant(found.variant_path(name), variant, ModelSpec.of(manifest)).close()
        return ""

    yield Opened([package.manifest_bytes], take, (ContractError, EngineError))


@contextlib.contextmanager
def golden_samples(folder: Path) -> Iterator[Opened]:
    """`golden.npz`, as worker and self-test read it."""
    package = make_package(folder / "good", key=KEY)

    def take(data: bytes) -> str:
        (folder / "golden.npz").write_bytes(data)
        load_golden(folder / "golden.npz", package.manifest)
        return ""

    yield Opened([package.path_of(package.manifest.golden).read_bytes()], take, (EngineError,))


def _desired() -> bytes:
    model = DesiredModel("digits", 3, FileEntry(DIGEST, 100), rollout="r1", arm="treatment")
    slots = {"main": DesiredSlot(model, DesiredApplication("watch", 1, FileEntry("cd" * 32, 10))), "other": DesiredSlot()}
    policy = UpdatePolicy(probation_s=5.0)
    fields = {"fleet": "home", "device": "d1", "revision": 5, "issued_at": utc_now(), "not_after": "2099-01-01T00:00:00Z"}
    return encode(Desired(schema_version=1, slots=slots, policy=policy, agent_min_version="0.1.0", **fields))  # type: ignore[arg-type]


@contextlib.contextmanager
def desired_document(_folder: Path) -> Iterator[Opened]:
    """What comes over MQTT or HTTP from anyone."""

    def take(data: bytes) -> str:
        verify_desired(data, KEY.public, fleet="home", device="d1", seen=3)
        return ""

    yield Opened([sign_document(_desired(), DESIRED_PAYLOAD_TYPE, KEY)], take, (WishRefusedError,))


@contextlib.contextmanager
def signed_desired(_folder: Path) -> Iterator[Opened]:
    """What a stolen director key signs: refused, or a wish that the update rules can work with."""

    def take(data: bytes) -> str:
        verified = verify_desired(sign_document(data, DESIRED_PAYLOAD_TYPE, KEY), KEY.public, fleet="home", device="d1", seen=3)
        for wish in wishes_of(verified.document).values():
            slot, _ = machine.advance(Slot(), Wished(wish))
            msgspec.json.decode(encode(slot.update), type=type(slot.update))
        return ""

    yield Opened([_desired()], take, (WishRefusedError,))


@contextlib.contextmanager
def application_document(_folder: Path) -> Iterator[Opened]:
    """An application, and the options of its source."""
    sources = [Source("camera", {"device": "/dev/video0"}), Source("csv", {"path": "rows.csv"}), Source("mqtt", {"url": "mqtt://x"})]
    seeds = [
        encode(Application(1, "watch", 1, "digits", source, (Sink("jsonl", {"path": "x"}),), (Rule("red", 0.5, hold_s=1.0),)))
        for source in sources
    ]

    def take(data: bytes) -> str:
        document = decode(data, Application, "the application")
        if (kind := SOURCES.get(document.source.kind)) is not None:
            read_options(f"source {document.source.kind}", document.source.options, kind.options)
        return ""

    yield Opened(seeds, take, (ContractError, SourceError, SinkError))


def _reference() -> Reference:
    return Reference(1, Histogram.of(CONFIDENCE_BOUNDS, (0.1, 0.5, 0.9)), {"red": 2, "blue": 1}, 3)


@contextlib.contextmanager
def drift_reference(folder: Path) -> Iterator[Opened]:
    """`reference.json`, which the supervisor reads itself."""

    def take(data: bytes) -> str:
        (folder / "reference.json").write_bytes(data)
        reference = load_reference(folder / "reference.json")
        if reference is not None:
            encode(measure_drift(reference, Histogram.of(CONFIDENCE_BOUNDS, (0.2, 0.3)), {"red": 1}))
        return "" if reference is not None else "nothing is known of the model's usual answers"

    yield Opened([encode(_reference())], take)


@contextlib.contextmanager
def claim_token(_folder: Path) -> Iterator[Opened]:
    """What a person pastes."""
    claim = Claim(1, "c1", "https://fleet.example:8443", "secret", DIGEST, "home", "d1", "2099-01-01T00:00:00Z")

    def take(data: bytes) -> str:
        parse_token(data.decode("latin-1"))
        return ""

    yield Opened([build_token(claim).encode()], take, (ContractError,))


@contextlib.contextmanager
def public_key(_folder: Path) -> Iterator[Opened]:
    """A `*.pub.json` file."""

    def take(data: bytes) -> str:
        public_key_from_bytes(data)
        return ""

    yield Opened([public_key_to_bytes(KEY.public, "owner")], take, (ContractError,))


def _window_line() -> WindowStats:
    latency, confidence = Histogram.of(LATENCY_BOUNDS_US, (100.0, 200.0)), Histogram.of(CONFIDENCE_BOUNDS, (0.4, 0.6))
    return WindowStats(0, utc_now(), 1.0, 2, latency, confidence, {"red": 2})


@contextlib.contextmanager
def lines_from_a_worker(_folder: Path) -> Iterator[Opened]:
    """A worker that a hostile model took over says what it likes; the supervisor adds up and sends on what it can."""
    lines = (
        Ready("digits", 1, DIGEST, "onnx-float32", 1, 0.1, 100.0),
        Pong(1, 2),
        Probed(1, passed=True, max_difference=0.0, latency_us=1.0),
        _window_line(),
        RuleFired(utc_now(), "red", {"score": 0.5}),
        SourceEnded("over"),
        Failed(msgspec.convert("internal", type=msgspec.structs.fields(Failed)[0].type), "broken"),
    )
    book = WindowBook("main", Installed(VersionRef("digits", 1, DIGEST), "onnx"), _reference())
    indexes = itertools.count()

    def take(data: bytes) -> str:
        message = decode_from_worker(data)
        if isinstance(message, WindowStats):
            try:
                book.add(message)
            finally:
                window = book.take("boot", next(indexes))
            assert window is None or msgspec.json.decode(encode(window), type=Window)
            book.recent_latency().quantile(0.5)
        return ""

    yield Opened([encode(line) for line in lines], take, (ContractError,))


@contextlib.contextmanager
def lines_to_a_worker(_folder: Path) -> Iterator[Opened]:
    """The first line and those after it."""
    request = WorkerRequest("versions/x", DIGEST, "onnx-float32", sockets=(3, 4))

    def take(data: bytes) -> str:
        try:
            decode_to_worker(data)
        except ContractError:
            decode_request(data)
        return ""

    yield Opened([encode(line) for line in (Ping(1), Probe(2), Flush(), Drain(), Stop(), request)], take, (ContractError,))


DOCUMENTS = (
    Door("package-archive", package_archive),
    Door("signed-package", signed_package),
    Door("golden-samples", golden_samples),
    Door("desired", desired_document),
    Door("signed-desired", signed_desired),
    Door("application", application_document),
    Door("reference", drift_reference),
    Door("claim-token", claim_token),
    Door("public-key", public_key),
    Door("lines-from-worker", lines_from_a_worker),
    Door("lines-to-worker", lines_to_a_worker),
)
