"""Doors for what lies on the device's disk: settings, journal, pointers, outbox, identity; a card that ages changes any byte."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from contract.codec import encode, utc_now
from contract.files import sha256_of
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired, Event, Health, MeasuredVariant, VersionRef
from contract.signing import generate_key, public_key_to_bytes, public_key_to_dict, sign_document
from contract.states import FailureReason, HealthState, UpdateState
from edge_agent.enrolment import EnrolmentError, EnrolmentRecord, load_identity
from edge_agent.fleet_link import LinkError, parse_address
from edge_agent.fleet_membership import Membership
from edge_agent.hang_watch import HangWatch, look_at
from edge_agent.home import Home, load_document, make_home
from edge_agent.memory import Memory, Remembered
from edge_agent.outbox import Outbox
from edge_agent.settings import Settings, SettingsError, load_settings
from edge_agent.status import Known, build_status, read_status
from edge_agent.trust_store import TrustError, TrustStore
from edge_agent.tuning import TUNED_FILE, Choice, load_choice
from edge_agent.update.journal import Journal
from edge_agent.update.quarantine import QUARANTINE_FILE
from edge_agent.update.records import Installed, Quarantined, Update, Wish
from edge_agent.update.slots import CURRENT, SlotStore
from edge_agent.update.wishes import WishRefusedError, load_desired
from edge_agent.worker.progress import ProgressPage
from tests.edge_agent.fuzz.fuzzing import Door, Opened
from tests.edge_agent.update.examples import wish

KEY = generate_key()
DIGEST = "ab" * 32
DAMAGED = "it is damaged and counts as absent"


@contextlib.contextmanager
def settings(folder: Path) -> Iterator[Opened]:
    """`config.json`."""
    seed = b'{"http_port":8480,"threads":2,"callbacks":{"a":"b:c"},"capture_samples":true,"keepalive_s":30,"inference_deadline_ms":1.5}'

    def take(data: bytes) -> str:
        (folder / "config.json").write_bytes(data)
        load_settings(folder)
        return ""

    yield Opened([seed], take, (SettingsError,))


@contextlib.contextmanager
def journal(folder: Path) -> Iterator[Opened]:
    """Whatever it holds, the agent reads it, and goes on writing behind it or anew."""
    path = folder / "journal.jsonl"
    update = Update(UpdateState.PROBATION, wish(2, 5), variant="onnx-float32")
    writing = Journal(path)
    for state in ("intent", "result"):
        writing.append("main", state, update)
    seed = path.read_bytes()

    def take(data: bytes) -> str:
        path.write_bytes(data)
        opened = Journal(path)
        known = opened.read()
        if known.damage:
            opened.set_aside()
        opened.append("main", "intent", update)
        assert Journal(path).read().updates["main"] == update
        return known.damage and "damaged"

    yield Opened([seed], take)


OpenDoor = Callable[[Path], contextlib.AbstractContextManager[Opened]]


def _small_file(place: Callable[[Home], Path], seed: bytes, read: Callable[[Home], object]) -> OpenDoor:
    """A door for one of the agent's own small files: what is wrong counts as absent, and nothing is raised."""

    @contextlib.contextmanager
    def open_door(folder: Path) -> Iterator[Opened]:
        home = make_home(folder / "home")
        path = place(home)
        path.parent.mkdir(parents=True, exist_ok=True)

        def take(data: bytes) -> str:
            path.write_bytes(data)
            return "" if read(home) else DAMAGED

        yield Opened([seed], take)

    return open_door


def _read_memory(home: Home) -> bool:
    memory = Memory(home.state / "memory.json")
    memory.see_revision(memory.revision_seen + 1)
    assert memory.next_session() > 0
    memory.raise_min_version("digits", 2)
    return memory.revision_seen > 1


def _read_pointer(home: Home) -> bool:
    store = SlotStore(home)
    store.load_slot("main", None)
    store.collect_garbage()
    return store.pointer("main", CURRENT) is not None


@contextlib.contextmanager
def outbox(folder: Path) -> Iterator[Opened]:
    """A damaged database is set aside or used; messages go in and come out all the same."""
    path = folder / "outbox.sqlite"
    event = Event(1, "", 1, "boot", utc_now(), "agent", text="hello")
    filled = Outbox(path)
    for _ in range(3):
        filled.put(event)
    filled.waiting()
    filled.put(event)
    filled.close()
    seed = path.read_bytes()

    def take(data: bytes) -> str:
        for left in folder.glob("outbox.sqlite*"):
            left.unlink()
        path.write_bytes(data)
        box = Outbox(path)
        box.put(event)
        waiting = box.waiting()
        box.acknowledge(box.stream, waiting[0].sequence if waiting else 1)
        box.waiting()
        assert box.depth >= 0
        assert sum(box.drops.values()) == box.dropped
        box.close()
        return DAMAGED if (folder / "outbox.sqlite.damaged").exists() else ""

    yield Opened([seed], take)


@contextlib.contextmanager
def outbox_rows(folder: Path) -> Iterator[Opened]:
    """A database that is whole, with rows that no agent wrote."""
    path = folder / "outbox.sqlite"
    event = Event(1, "", 1, "boot", utc_now(), "agent", text="hello")

    def take(data: bytes) -> str:
        for left in folder.glob("outbox.sqlite*"):
            left.unlink()
        Outbox(path).close()
        db = sqlite3.connect(path)
        with db:
            db.execute("INSERT INTO message (channel, priority, body) VALUES (?, ?, ?)", ("event", 1, data))
            row = (data[:5].decode("latin-1"), 1, 7, data)
            db.execute("INSERT INTO message (channel, priority, sequence, body) VALUES (?, ?, ?, ?)", row)
        db.close()
        box = Outbox(path)
        box.put(event)
        assert any(b'"hello"' in waiting.body for waiting in box.waiting()), "what is good is sent, whatever lies beside it"
        box.close()
        return ""

    yield Opened([encode(event)], take)


@contextlib.contextmanager
def identity(folder: Path) -> Iterator[Opened]:
    """The files that were pinned at the enrolment; the first byte says which one is changed."""
    home = make_home(folder / "home")
    root = b'{"signed":{},"signatures":[]}'
    record = EnrolmentRecord(1, "https://x", "mqtt://x", "home", "d1", utc_now(), sha256_of(root), "test")
    whole = {
        "enrolment.json": encode(record),
        "root.json": root,
        "director.json": encode(public_key_to_dict(KEY.public)),
        "password": b"secret",
    }
    names = sorted(whole)

    def take(data: bytes) -> str:
        for name, content in whole.items():
            (home.identity / name).write_bytes(content)
        (home.identity / names[data[:1][0] % len(names) if data else 0]).write_bytes(data[1:])
        membership = Membership(home, Settings())
        if membership.http is not None:
            membership.http.close()
        with contextlib.suppress(LinkError):  # `join` says so and goes on
            if membership.identity is not None:
                parse_address(membership.identity.record.mqtt_url)
        load_identity(home)
        return membership.trouble and "trouble"

    yield Opened([bytes([index]) + whole[name] for index, name in enumerate(names)], take, (EnrolmentError,))


@contextlib.contextmanager
def trust_folder(folder: Path) -> Iterator[Opened]:
    """A key file of the owner's."""

    def take(data: bytes) -> str:
        (folder / "one.pub.json").write_bytes(data)
        TrustStore(folder).keys()
        return ""

    yield Opened([public_key_to_bytes(KEY.public, "owner")], take, (TrustError,))


@contextlib.contextmanager
def kept_desired(folder: Path) -> Iterator[Opened]:
    """The wish that was kept for a start without a network."""
    document = Desired(schema_version=1, fleet="home", device="d1", revision=5, issued_at=utc_now(), slots={})

    def take(data: bytes) -> str:
        (folder / "desired.json").write_bytes(data)
        load_desired(folder / "desired.json", KEY.public, fleet="home", device="d1")
        return ""

    yield Opened([sign_document(encode(document), DESIRED_PAYLOAD_TYPE, KEY)], take, (WishRefusedError,))


@contextlib.contextmanager
def progress_page(folder: Path) -> Iterator[Opened]:
    """The page that a worker shares with the supervisor; a worker that was taken over writes what it likes."""
    path = folder / "page"

    def take(data: bytes) -> str:
        path.write_bytes((data + bytes(4096))[:4096])
        with path.open("r+b") as file:
            page = ProgressPage(file.fileno())
        asked = look_at(1, page.begun_ns)
        if asked is not None:
            HangWatch(0.12, asked).judge(asked)
        encode({"completed": page.completed, "begun": page.begun_ns})
        page.close()
        return ""

    yield Opened([(5).to_bytes(8, "little") + (123456789).to_bytes(8, "little")], take)


def _place(*parts: str) -> Callable[[Home], Path]:
    return lambda home: home.folder.joinpath(*parts)


HEALTH = Health(1, "boot", utc_now(), HealthState.HEALTHY, (), 3.5, 8 << 30, 4 << 30, 90 << 20, 10 << 30, 1.0, "0.1.0")
CHOICE = {DIGEST: Choice("onnx-int8", 2, utc_now(), 10.0, 0.9, (MeasuredVariant("onnx-int8", 1.0, 2.0, 0.1, None, chosen=True),))}
QUARANTINED = {DIGEST: Quarantined(3, FailureReason.GOLDEN_MISMATCH)}
POINTER = Installed(VersionRef("digits", 1, DIGEST), "onnx")
SMALL_FILES = {
    "pointer": (_place("slots", "main", "current.json"), POINTER, _read_pointer),
    "quarantine": (_place("state", QUARANTINE_FILE), QUARANTINED, lambda home: SlotStore(home).load_quarantine()),
    "memory": (_place("state", "memory.json"), Remembered(3, 9, {"digits": 2}), _read_memory),
    "tuned": (_place("state", TUNED_FILE), CHOICE, lambda home: load_choice(home, DIGEST)),
    "inbox-wish": (_place("inbox", "one.json"), wish(2, 5), lambda home: load_document(home.inbox / "one.json", Wish)),
    "status": (_place("run", "status.json"), build_status(Known("http://x", HEALTH, {}, {})), lambda home: read_status(home.status)),
}

FILES = (
    Door("settings", settings),
    Door("journal", journal),
    *(Door(name, _small_file(place, encode(document), read)) for name, (place, document, read) in SMALL_FILES.items()),
    Door("outbox", outbox),
    Door("outbox-rows", outbox_rows),
    Door("identity", identity),
    Door("trust", trust_folder),
    Door("kept-desired", kept_desired),
    Door("progress-page", progress_page),
)
