"""The same bytes at the doors of a real agent process: it stays up, does not grow, complains in words, and updates afterwards."""

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from contract.codec import MESSAGE_MAX_BYTES, encode, utc_now
from contract.commands import COMMAND_PAYLOAD_TYPE, Command
from contract.manifest import FileEntry
from contract.messages import DESIRED_PAYLOAD_TYPE, Ack, Desired, DesiredApplication, DesiredModel, DesiredSlot
from contract.signing import generate_key, sign_document
from contract.states import UpdateState
from contract.topics import Channel
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.edge_agent.fuzz.fuzzing import GROWTH_MAX_BYTES, Door, Opened
from tests.edge_agent.fuzz.sockets import image_requests, talk, worst_state
from tests.edge_agent.test_fleet_updates import DEVICE, Site
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import FLEET, QUICK, FleetSimulator
from tests.simulators.waiting import wait_until

WARM_UP = 100
DESCRIPTORS_SPARE = 8
"""What an agent may hold for a moment: a worker being replaced, a connection to the server."""
BARRIER_EVERY = 40
PATIENCE_S = 60.0


class Watched:
    """One agent, its size before, and its log since."""

    def __init__(self, site: Site) -> None:
        assert site.agent.process is not None
        self.site = site
        self.pid = site.agent.process.pid
        self._numbers = itertools.count(1)
        self._read = 0
        self.note_size()

    def note_size(self) -> None:
        process = psutil.Process(self.pid)
        self._bytes, self._descriptors = process.memory_info().rss, process.num_fds()

    @property
    def log(self) -> str:
        return self.site.agent.log.read_text(errors="replace")

    def send(self, channel: Channel, payload: bytes) -> None:
        """The broker of the test carries no more than the contract allows, and hangs up on whoever tries."""
        if len(payload) <= MESSAGE_MAX_BYTES:
            self.site.fleet.send(DEVICE, channel, payload)

    def wait_until_heard(self) -> None:
        """Send something that it refuses by name, and wait for the refusal: all before was heard, too."""
        name = f"barrier-{next(self._numbers)}"
        document = Desired(schema_version=1, fleet=FLEET, device=name, revision=1, issued_at=utc_now(), slots={})
        self.send(Channel.DESIRED, sign_document(encode(document), DESIRED_PAYLOAD_TYPE, self.site.fleet.director))
        wait_until(lambda: self._says(f"is for {FLEET}/{name}"), PATIENCE_S, self.site.agent.read_log)

    def _says(self, words: str) -> bool:
        with self.site.agent.log.open(errors="replace") as file:
            file.seek(max(0, self._read - 200))
            found = words in file.read()
            self._read = file.tell()
        return found

    def check(self) -> None:
        """It is the same process, no larger, and nothing that it said is a traceback."""
        assert self.site.agent.process is not None
        assert self.site.agent.process.poll() is None, self.site.agent.read_log()
        assert "Traceback" not in self.log, self.log[self.log.index("Traceback") - 500 :][:3000]
        assert "never retrieved" not in self.log
        process = psutil.Process(self.pid)
        wait_until(lambda: process.num_fds() <= self._descriptors + DESCRIPTORS_SPARE, 20, lambda: str(process.open_files()))
        grown = process.memory_info().rss - self._bytes
        assert grown <= GROWTH_MAX_BYTES, f"the supervisor grew by {grown >> 20} MiB"


@contextlib.contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """An enrolled agent that serves a committed version."""
    with FleetSimulator(folder / "fleet") as fleet:
        enrol(make_home(folder / "home"), fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        with AgentProcess(folder / "home") as agent:
            site = Site(fleet, agent, folder, generate_key())
            first = fleet.wait_for_final(fleet.wish(DEVICE, "digits", site.publish()), PATIENCE_S)
            assert first.state is UpdateState.DONE, agent.read_log()
            yield site


@contextlib.contextmanager
def agent_endpoint(folder: Path) -> Iterator[Opened]:
    """Over HTTP, with a worker that must live on, too."""
    with running_site(folder) as site:
        watched, count = Watched(site), itertools.count()
        port = int(site.agent.endpoint["url"].rpartition(":")[2])
        (worker,) = psutil.Process(watched.pid).children()

        def take(data: bytes) -> str:
            if next(count) == WARM_UP:
                watched.note_size()
            return str(worst_state(talk(port, data)))

        def check() -> None:
            assert worker.is_running(), site.agent.read_log()
            assert site.answers() == "1"
            watched.check()

        yield Opened(image_requests(), take, check=check)


def _signed_seeds() -> list[bytes]:
    model = DesiredModel("digits", 1, FileEntry("ab" * 32, 100), rollout="r1", arm="treatment", force=True)
    slots = {"main": DesiredSlot(model, DesiredApplication("watch", 1, FileEntry("cd" * 32, 10))), "other": DesiredSlot(model)}
    desired = Desired(schema_version=1, fleet=FLEET, device=DEVICE, revision=1, issued_at=utc_now(), slots=slots, policy=QUICK)
    commands = [
        Command(1, "c1", DEVICE, kind, "2099-01-01T00:00:00Z", options)
        for kind, options in (
            ("report", {}),
            ("restart_worker", {"slot": "other"}),
            ("capture_samples", {"for_s": 1.0}),
            ("upload_samples", {}),
        )
    ]
    return [b"D" + encode(desired), *(b"C" + encode(command) for command in commands)]


@contextlib.contextmanager
def agent_broker(folder: Path) -> Iterator[Opened]:
    """Over MQTT: raw documents, acknowledgements, and what a stolen director key signs; the first byte says which."""
    with running_site(folder) as site:
        watched, count = Watched(site), itertools.count(1)
        director = site.fleet.director
        raw = [b"d" + site.fleet.desired[DEVICE][1], b"a" + encode(Ack(1, site.fleet.hellos[-1].stream, 3)), b"c{}"]

        def take(data: bytes) -> str:
            kind, body = data[:1], data[1:]
            if kind == b"D":
                watched.send(Channel.DESIRED, sign_document(_next_revision(site, body), DESIRED_PAYLOAD_TYPE, director))
            elif kind == b"C":
                watched.send(Channel.COMMAND, sign_document(body, COMMAND_PAYLOAD_TYPE, director))
            else:
                channel = {b"a": Channel.ACK, b"c": Channel.COMMAND}.get(kind, Channel.DESIRED)
                watched.send(channel, body)
            number = next(count)
            if number % BARRIER_EVERY == 0:
                watched.wait_until_heard()
            if number == WARM_UP:
                watched.note_size()
            return ""

        def check() -> None:
            watched.wait_until_heard()
            site.fleet.desired[DEVICE] = (max(seen_revision(site), site.fleet.desired[DEVICE][0]), b"")
            final = site.fleet.wait_for_final(site.fleet.wish(DEVICE, "digits", site.publish(), force=True), PATIENCE_S)
            assert final.state is UpdateState.DONE, site.agent.read_log()
            watched.check()

        yield Opened([*raw, *_signed_seeds()], take, check=check)


def seen_revision(site: Site) -> int:
    """The highest revision that the device kept."""
    found = re.search(rb'"revision_seen":(\d+)', (site.agent.home / "state" / "memory.json").read_bytes())
    return int(found[1]) if found else 0


def _next_revision(site: Site, body: bytes) -> bytes:
    """Give a document a revision that is not old, so that the rest of it is looked at; what is no object stays."""
    revision = site.fleet.desired[DEVICE][0] + 1
    site.fleet.desired[DEVICE] = (revision, b"")
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    return encode({**document, "revision": revision}) if isinstance(document, dict) else body


LIVE = (Door("agent-endpoint", agent_endpoint), Door("agent-broker", agent_broker))
