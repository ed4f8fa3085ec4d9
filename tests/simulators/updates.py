"""A device in one process: the real update rules, slots, journal and downloads on a simulated disk, in virtual time.

Only what is not a file is made up: the repository's answer, the server's bytes, the self-test's
verdict and the worker.
"""

import asyncio
import contextlib
import datetime
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import msgspec
import urllib3

from contract.application import Application, Source
from contract.codec import encode
from contract.files import sha256_of
from contract.manifest import FileEntry, Manifest, TensorSpec, Variant
from contract.messages import DesiredApplication, DesiredModel, UpdateEvent, UpdatePolicy
from contract.pairs import SCORE_DIFFERENCE_BOUNDS, Disagreement
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.states import FailureReason, UpdateState
from edge_agent.heat import Heat
from edge_agent.home import Home
from edge_agent.memory import Memory
from edge_agent.settings import Settings
from edge_agent.slot_runner import SlotRunner
from edge_agent.update.downloads import Patience
from edge_agent.update.journal import Journal
from edge_agent.update.plan import Documents, StepFailedError
from edge_agent.update.records import Installed, Update, Wish
from edge_agent.update.slots import SlotStore
from edge_agent.update.tools import Machinery, Tools
from edge_agent.update.work_time import Turn
from edge_agent.worker.messages import Access, FromWorker, Paired, RuleFired, WindowStats
from edge_agent.worker.self_testing import SelfTestRequest, SelfTestResult, VariantResult
from edge_agent.worker.shadow_run import ShadowError, ShadowOrder
from edge_agent.worker_keeper import READY_TIMEOUT_S, KeeperSettings, Serving, StartError, WorkerKeeper
from edge_agent.worker_lives import RESTART_LAST_S, WorkerLives
from tests.simulators.disk import PowerCut, SimulatedDisk
from tests.simulators.virtual_time import BEGINS_S, run_virtually

S = UpdateState
SLOT = "main"
POLICY = UpdatePolicy(probation_s=5.0, probation_min_inferences=20, self_test_timeout_s=20.0)
IN_SHADOW = msgspec.structs.replace(POLICY, shadow_s=20.0, shadow_min_pairs=50, shadow_max_disagreement=0.1)
PATIENCE_S = 10 * 86400.0
"""Longer than all deadlines of an update together."""
FOREVER_S = 20 * 86400.0
T = TypeVar("T")


class Hang(BaseException):
    """An operation never ends."""


class Version(NamedTuple):
    """A model version as its files.

    `kind`: good, refused (by the self-test), other (disagrees in the shadow), dead (does not start), failing (in probation).
    """

    manifest_bytes: bytes
    entry: FileEntry
    files: dict[str, bytes]
    kind: str


def make_version(number: int, kind: str = "good") -> Version:
    """A version of some hundred bytes; versions share their golden samples."""
    files = {
        "onnx-float32.onnx": f"model {number} {kind}".encode() * 20,
        "golden.npz": b"golden" * 30,
        "reference.json": b"{}",
        "report.json": b"[]",
        "model_card.md": b"#",
    }
    manifest = Manifest(
        schema_version=1,
        name="digits",
        version=number,
        task="image-classification",
        created_at="2026-01-01T00:00:00Z",
        labels=("a", "b"),
        inputs=(TensorSpec("frame", "uint8", (-1, -1, 3)),),
        outputs=(TensorSpec("scores", "float32", (2,)),),
        variants={"onnx-float32": Variant("onnx", "float32", "none", "onnx-float32.onnx", tolerance=1e-4, opset=20)},
        files={name: FileEntry(sha256_of(data), len(data)) for name, data in files.items()},
    )
    data = encode(manifest)
    return Version(data, FileEntry(sha256_of(data), len(data)), files, kind)


APPLICATION = encode(Application(schema_version=1, name="watch", version=1, model="digits", source=Source("folder"), sinks=()))
APPLICATION_ENTRY = FileEntry(sha256_of(APPLICATION), len(APPLICATION))


class World:
    """What outlives a device's restarts: the server's files, what failed on purpose, and what was seen."""

    def __init__(self, versions: dict[int, Version]) -> None:
        self.versions = versions
        self.artifacts = {sha256_of(data): data for version in versions.values() for data in version.files.values()}
        self.kinds = {version.entry.sha256: version.kind for version in versions.values()}
        self.breaks: dict[UpdateState, str] = {}  # state → error or hang: what happens to its work, once
        self.events: list[UpdateEvent] = []
        self.served: list[Installed] = []
        self.banned: set[str] = set()
        self.wrong: list[str] = []
        self.settings = Settings(disk_reserve_bytes=0)
        self.begins: datetime.datetime | None = None  # the clock when virtual time begins; None: the real one
        self.heat: Callable[[], Heat] = Heat

    def wish(self, number: int, revision: int, *, application: bool = False, force: bool = False, shadow: bool = False) -> Wish:
        model = DesiredModel("digits", number, self.versions[number].entry, force=force)
        app = DesiredApplication("watch", 1, APPLICATION_ENTRY) if application else None
        return Wish(revision, model, app, IN_SHADOW if shadow else POLICY)

    async def may_break(self, state: UpdateState, error: Exception) -> None:
        """Fail or hang where that was ordered."""
        how = self.breaks.pop(state, "")
        if how == "error":
            raise error
        if how == "hang":
            await asyncio.sleep(FOREVER_S)


class _Repository:
    def __init__(self, world: World, store: SlotStore) -> None:
        self.world, self.store = world, store

    async def fetch_documents(self, wish: Wish, patience: Patience) -> Documents:
        del patience
        await self.world.may_break(S.PREFLIGHT, StepFailedError(FailureReason.DOWNLOAD, "the repository is away"))
        version = self.world.versions[wish.model.version]
        self.store.add_object(version.manifest_bytes, version.entry.sha256)
        if wish.application is None:
            return Documents(version.manifest_bytes, version.entry)
        self.store.add_object(APPLICATION, APPLICATION_ENTRY.sha256)
        return Documents(version.manifest_bytes, version.entry, application=APPLICATION, application_entry=APPLICATION_ENTRY)


class _SmallPieces(io.BytesIO):
    def read1(self, size: int | None = -1) -> bytes:
        del size
        return super().read1(150)


class _Server:
    """Artifacts with Range, in pieces of 150 bytes."""

    def __init__(self, world: World) -> None:
        self.world = world

    def open(self, path: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        how = self.world.breaks.pop(S.DOWNLOADING, "")
        if how == "hang":
            raise Hang
        data = self.world.artifacts.get(path.rsplit("/", 1)[-1])
        start = int(headers.get("Range", "bytes=0-")[6:-1])
        status = 404 if data is None or how else 206 if start else 200
        body = _SmallPieces((data or b"")[start:] if status != 404 else b"")
        return urllib3.HTTPResponse(body, {"Content-Range": f"bytes {start}-"}, status, preload_content=False)


class SimulatedLives(WorkerLives):
    """Of workers that crash where their version does."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def crashes(self, installed: Installed | None = None, since: float = 0.0) -> int:
        del since
        return 3 if installed is not None and self.world.kinds[installed.model.digest] == "crashing" else 0


class SimulatedKeeper(WorkerKeeper):
    """A worker that is a variable."""

    def __init__(
        self,
        device: "Device",
        settings: KeeperSettings,
        on_message: Callable[[Serving, FromWorker], None],
        on_crash: Callable[[str], None],
    ) -> None:
        super().__init__(settings, on_message, on_crash)
        self.device = device
        self.said = on_message
        self.lives = SimulatedLives(device.world)
        self.now: Serving | None = None
        self.restart: asyncio.Task[None] | None = None

    @property
    def serving(self) -> Serving | None:
        return self.now

    @property
    def is_answering(self) -> bool:
        return self.now is not None

    @property
    def worker(self) -> Any:
        return self.now

    async def serve(self, serving: Serving) -> None:
        self._check(serving.installed)
        if self.device.state is S.ROLLING_BACK:
            await self._may_not_start_again()
        elif self.device.state is S.ACTIVATING:
            await self.device.world.may_break(S.ACTIVATING, StartError(FailureReason.MODEL_CRASHED, "it does not start"))
        if self.device.world.kinds[serving.installed.model.digest] == "dead":
            raise StartError(FailureReason.MODEL_CRASHED, "it does not start")
        await asyncio.sleep(0.5)
        self.now = serving
        self.device.world.served.append(serving.installed)

    def _check(self, installed: Installed) -> None:
        device, digest = self.device, installed.model.digest
        if digest in {*device.world.banned, *device.store.load_quarantine()} and not device.is_forced(digest):
            device.world.wrong.append(f"quarantined version {installed.model.version} was activated")
        if device.store.check_installed(installed) is None:
            device.world.wrong.append(f"version {installed.model.version} serves though it is not whole")

    async def _may_not_start_again(self) -> None:
        """The last known good version: `error` fails once, `hang` until its last start is given up."""
        how = self.device.world.breaks.get(S.ROLLING_BACK, "")
        if how == "hang":
            await asyncio.sleep(READY_TIMEOUT_S)
        elif how:
            self.device.world.breaks.clear()
        if how:
            raise StartError(FailureReason.INTERNAL, "it does not start")

    async def keep_serving(self, serving: Serving) -> None:
        try:
            await self.serve(serving)
        except StartError:
            self.restart = asyncio.create_task(self._restart(serving))

    async def _restart(self, serving: Serving) -> None:
        await asyncio.sleep(RESTART_LAST_S)
        self.now = serving

    async def stop(self) -> None:
        self.now = None

    def flush(self) -> None:
        serving, world = self.now, self.device.world
        if serving is None or world.breaks.get(S.PROBATION) == "hang":
            return
        failing = world.kinds[serving.installed.model.digest] == "failing"
        if self.device.state is S.PROBATION and world.breaks.get(S.PROBATION) == "error":
            failing = True
        latency = Histogram.of(LATENCY_BOUNDS_US, [] if failing else [100.0] * 10)
        confidence = Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 10)
        errors = 10 if failing else 0
        self.said(serving, WindowStats(0, "2026-01-01T00:00:00Z", 1.0, 10 - errors, latency, confidence, {"a": 10}, errors=errors))


class SimulatedShadow:
    """A candidate in the shadow that is a variable; it sees ten pairs a second."""

    trouble: ShadowError | None = None

    def __init__(self, device: "Device", served: object, digest: str) -> None:
        self.device, self.served, self.digest = device, served, digest
        self.begun_s = asyncio.get_running_loop().time()

    def is_beside(self, worker: object) -> bool:
        return worker is self.served

    @property
    def counts(self) -> Paired:
        pairs = int(10 * (asyncio.get_running_loop().time() - self.begun_s))
        wrong = pairs if self.device.world.kinds[self.digest] == "other" else 0
        latency = Histogram.of(LATENCY_BOUNDS_US, [100.0] * pairs)
        difference = Histogram.of(SCORE_DIFFERENCE_BOUNDS, [0.0] * pairs)
        return Paired(pairs, wrong, (Disagreement("a", "b", wrong),) if wrong else (), 0, 0, latency, latency, difference)


_NO_SOCKETS: Any = SimpleNamespace(descriptors=(), access=Access())


class Device:
    """One life of an agent's process in `folder`."""

    def __init__(self, folder: Path, world: World, disk: SimulatedDisk) -> None:
        self.world, self.disk = world, disk
        self.home = Home(folder)
        self.store = SlotStore(self.home, disk)
        self.journal = Journal(self.home.journal, disk)
        self.runner: SlotRunner
        self.gone: asyncio.Event
        self.in_work_thread = False
        self.on_event: Callable[[UpdateEvent], None] = lambda _: None

    @property
    def state(self) -> UpdateState | None:
        update = self.runner.state.update if hasattr(self, "runner") else None
        return update.state if update else None

    def live(self, wishes: list[Wish]) -> bool:
        """Start, take the wishes, and go on until nothing is to do; False where the process ended before."""
        return run_virtually(self._live(wishes))

    async def _live(self, wishes: list[Wish]) -> bool:
        self.gone = asyncio.Event()
        try:
            await self._start()
        except PowerCut:
            return False
        task = asyncio.create_task(self.runner.run())
        task.add_done_callback(lambda _: self.gone.set())
        for wish in wishes:
            self.runner.wish(wish)
        step_s, until = 0.5, asyncio.get_running_loop().time() + PATIENCE_S
        while not self.gone.is_set() and not self.disk.is_dead and not self._is_at_rest():
            await asyncio.sleep(step_s)
            step_s = min(60.0, 1.1 * step_s)
            if asyncio.get_running_loop().time() > until:
                self.world.wrong.append(f"not at rest after {PATIENCE_S:g} s, in {self.state}")
                break
        if task.done() and not self.disk.is_dead and (error := task.exception()) is not None:
            raise error
        return not self.disk.is_dead

    def _is_at_rest(self) -> bool:
        return self.runner.is_settled and (self.runner.state.current is None or self.runner.keeper.is_answering)

    async def _start(self) -> None:
        """As `edge_agent.supervisor` does it."""
        memory = Memory(self.home.state / "memory.json", self.disk)
        memory.next_session()
        self.store.remove_leftovers()
        machinery = Machinery(
            make_keeper=lambda *given: SimulatedKeeper(self, *given),
            run_self_test=self._self_test,
            in_thread=self._in_thread,
            find_runtimes=lambda: {"onnx": "1"},
            now=self.now,
            read_heat=lambda: self.world.heat(),  # noqa: PLW0108  (a test may set another)
            shadow_beside=self._shadow,
        )
        http: Any = _Server(self.world)
        tools = Tools(self.home, self.store, memory, self.world.settings, Turn(), _Repository(self.world, self.store), http, machinery)
        if self.world.breaks.get(S.QUEUED) == "hang":
            await tools.turn.acquire()
        known = self.journal.read()
        self.runner = SlotRunner(SLOT, tools, self.journal, self, _NO_SOCKETS)
        await self.runner.boot(known.updates.get(SLOT), known.damage)
        if known.damage:
            try:
                self.journal.set_aside()
            except OSError:
                self.world.wrong.append("the damaged journal could not be set aside") if self.disk.is_dead else None

    def now(self) -> datetime.datetime:
        begins = self.world.begins
        if begins is None:
            return datetime.datetime.now(tz=datetime.timezone.utc)
        return begins + datetime.timedelta(seconds=asyncio.get_running_loop().time() - BEGINS_S)

    async def _in_thread(self, name: str, function: Callable[[], T]) -> T:
        del name
        await asyncio.sleep(0.01)
        self.in_work_thread = True
        try:
            return function()
        except Hang:
            await asyncio.sleep(FOREVER_S)
            raise
        finally:
            self.in_work_thread = False

    async def _self_test(self, request: SelfTestRequest) -> SelfTestResult:
        await asyncio.sleep(1.0)
        how = self.world.breaks.pop(S.SELF_TESTING, "")
        if how == "hang":
            await asyncio.sleep(FOREVER_S)
        if how == "error" or self.world.kinds[request.digest] == "refused":
            return SelfTestResult("", (), FailureReason.GOLDEN_MISMATCH, "other answers than on the desk")
        return SelfTestResult("onnx-float32", (VariantResult("onnx-float32"),), None, "")

    @contextlib.asynccontextmanager
    async def _shadow(self, served: object, order: ShadowOrder) -> AsyncIterator[Any]:
        await asyncio.sleep(0.5)
        error = ShadowError(FailureReason.MODEL_CRASHED, "in the shadow its process ended with signal 9")
        await self.world.may_break(S.SHADOWING, error)
        if order.request.digest in self.store.load_quarantine() and not self.is_forced(order.request.digest):
            self.world.wrong.append("a version that is known to be quarantined ran in the shadow")
        before = self.runner.keeper.serving
        yield SimulatedShadow(self, served, order.request.digest)
        if self.runner.keeper.serving is not before:
            self.world.wrong.append("what serves has changed while a candidate was in the shadow")

    def is_forced(self, digest: str) -> bool:
        update = self.runner.state.update
        return update is not None and update.wish.model.force and update.wish.model.manifest.sha256 == digest

    # What the slot tells

    def slot_changed(self) -> None:
        """See `SlotOwner`."""

    def update_moved(self, event: UpdateEvent) -> None:
        self.world.events.append(event)
        self.on_event(event)

    def agent_event(self, text: str, data: dict[str, str | int | float]) -> None:
        """See `SlotOwner`."""

    def rule_fired(self, fired: RuleFired, slot: str) -> None:
        """See `SlotOwner`."""


def last_update(folder: Path) -> Update | None:
    """What a folder's journal says last."""
    return Journal(Home(folder).journal).read(repair=False).updates.get(SLOT)
