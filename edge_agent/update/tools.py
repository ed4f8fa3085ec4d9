"""What the work of updates is done with: disk, server, children and workers, passed in so that a simulated device has its own."""

import datetime
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol, TypeVar

from contract.states import UpdateState
from edge_agent.engine.accelerators import present_accelerators
from edge_agent.hardware import installed_runtimes
from edge_agent.heat import Heat, read_heat
from edge_agent.home import Home
from edge_agent.http_client import ServerHttp
from edge_agent.memory import Memory
from edge_agent.settings import Settings
from edge_agent.threads import in_thread
from edge_agent.update.downloads import Patience
from edge_agent.update.plan import Documents
from edge_agent.update.rebuilding import RebuildAnswer, RebuildRequest, rebuild_in_child
from edge_agent.update.records import Installed, Update, Wish
from edge_agent.update.slots import SlotStore
from edge_agent.update.work_time import Turn
from edge_agent.window_book import WindowBook
from edge_agent.worker.messages import FromWorker
from edge_agent.worker.process import WorkerProcess
from edge_agent.worker.self_testing import SelfTestRequest, SelfTestResult, run_self_test
from edge_agent.worker.shadow_run import ShadowOrder, ShadowRun, shadow_beside
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper

T = TypeVar("T")


class Fetcher(Protocol):
    """Whoever vouches for versions."""

    async def fetch_documents(self, wish: Wish, patience: Patience) -> Documents:
        """The documents of a wish."""


class InThread(Protocol):
    """See `edge_agent.threads.in_thread`."""

    async def __call__(self, name: str, function: Callable[[], T]) -> T:
        """The result of `function`."""


def _now() -> datetime.datetime:
    return datetime.datetime.now(tz=datetime.timezone.utc)


class Machinery(NamedTuple):
    """The processes and threads that do the work, the clock and the sensors; a simulated device has its own."""

    make_keeper: Callable[[KeeperSettings, Callable[[Serving, FromWorker], None], Callable[[str], None]], WorkerKeeper] = WorkerKeeper
    run_self_test: Callable[[SelfTestRequest], Awaitable[SelfTestResult]] = run_self_test
    in_thread: InThread = in_thread
    rebuild: Callable[[RebuildRequest], Awaitable[RebuildAnswer]] = rebuild_in_child
    find_runtimes: Callable[[], dict[str, str]] = installed_runtimes
    find_accelerators: Callable[[], tuple[str, ...]] = present_accelerators
    now: Callable[[], datetime.datetime] = _now
    read_heat: Callable[[], Heat] = read_heat
    shadow_beside: Callable[[WorkerProcess, ShadowOrder], AbstractAsyncContextManager[ShadowRun]] = shadow_beside


class Tools(NamedTuple):
    """What all slots share."""

    home: Home
    store: SlotStore
    memory: Memory
    settings: Settings
    turn: Turn  # one update at a time
    repository: Fetcher | None = None
    http: ServerHttp | None = None
    machinery: Machinery = Machinery()


class SlotServing(Protocol):
    """What the work of an update needs of its slot."""

    name: str
    keeper: WorkerKeeper

    def going_back_to(self) -> Installed | None:
        """While rolling back: what shall serve."""

    def proven(self) -> Installed | None:
        """The last known good version."""

    def book(self) -> WindowBook | None:
        """Measurements of the version that serves."""

    def source_failure(self, installed: Installed) -> str:
        """Why the source of its application failed; empty where it did not."""

    def as_serving(self, installed: Installed) -> Serving:
        """An installed version as a worker needs it."""

    def policy_of(self, update: Update) -> Update:
        """The update with the newest wish."""

    def say_waits(self, state: UpdateState, text: str) -> None:
        """The work of a state waits for leave to go on; "": it goes on."""
