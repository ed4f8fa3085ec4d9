"""Keeps the capture processes of one slot: they outlive its workers, and are replaced when they die, hang or are left by their device.

Every worker gets a doorbell of its own. The supervisor keeps a copy of the capture process's end, so
that a worker does not notice when one capture process takes the place of another.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from contract.application import Application
from contract.errors import ContractError
from contract.files import read_bounded, sha256_of
from contract.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME
from contract.package import read_manifest
from edge_agent.frames.capture_trouble import LOADING_S, Patience, Trouble, wait_for_trouble
from edge_agent.frames.doorbell import make_pair, pairs_exist, slots_exist
from edge_agent.frames.messages import CaptureRequest
from edge_agent.frames.process import ENDED, FAILED, GIVEN, CaptureProcess, start_capture
from edge_agent.hang_watch import BUSY_S
from edge_agent.update.records import Installed
from edge_agent.worker.child_identity import ChildIdentity
from edge_agent.worker.messages import FromWorker, SourceEnded, SourceSaid

FRAME_KINDS = frozenset({"camera", "microphone", "folder", "wav"})
"""Sources whose samples are large, or whose device should stay open. Rows are small: the worker reads them itself."""
LIVE_KINDS = frozenset({"camera", "microphone"})
"""Sources that promise samples, and that are not read on the event loop."""
LONG_LIFE_S = 10.0
RESTART_FIRST_S, RESTART_LAST_S = 0.2, 30.0
SILENT_FIRST_S, SILENT_LAST_S, SILENT_MEMORY_S = 10.0, 640.0, 600.0
"""For how long a device may give nothing: twice as long after each time, until it has given something for the last."""
STOP_S = 5.0
HOPELESS = 3
"""A capture process that died or was replaced so often without one sample counts as a source that failed."""

_OVER = frozenset({ENDED, FAILED})

Tell = Callable[[FromWorker], None]

log = logging.getLogger(__name__)


class InstalledAt(Protocol):
    """A version and where it lies."""

    @property
    def installed(self) -> Installed:
        """Which."""

    @property
    def folder(self) -> Path:
        """Where."""


class FrameLink(NamedTuple):
    """One worker's doorbell: `theirs` is for the worker to inherit, `ours` the copy of the capture process's end."""

    capture: "Capture"
    ours: socket.socket
    theirs: socket.socket
    tell: Tell


class Capture:
    """One source, and the process that keeps it open."""

    def __init__(self, request: CaptureRequest, installed: Installed, identity: ChildIdentity | None) -> None:
        self.request = request
        self.links: list[FrameLink] = []
        self._installed = installed
        self._identity = identity
        self._tell: Tell = lambda _: None
        self._word = ""  # its last one
        self._process: CaptureProcess | None = None
        self._deaths = 0
        self._silent_s = SILENT_FIRST_S
        self._silences = 0  # since the last sample
        self._guard = asyncio.create_task(self._keep(), name=f"capture-{request.kind}")

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def fits(self, request: CaptureRequest, installed: Installed) -> bool:
        """Whether it gives what is asked for; what came to its end begins anew for another version, what failed for anybody."""
        if self.request != request or self._guard.done():
            return False
        return self._word != FAILED and (self._word != ENDED or self._installed == installed)

    def join(self, link: FrameLink) -> None:
        """One more worker, which from now on hears of trouble."""
        self.links.append(link)
        self._tell = link.tell
        if self._process is not None:
            self._process.join(link.ours)

    def leave(self, link: FrameLink) -> None:
        """One worker less."""
        self.links.remove(link)
        if self.links:
            self._tell = self.links[-1].tell

    async def stop(self) -> None:
        """End the process."""
        self._guard.cancel()
        await asyncio.wait([self._guard])
        if self._process is not None:
            await self._process.stop()

    async def _keep(self) -> None:
        while self._word not in _OVER:
            begun_s = time.monotonic()
            trouble = await self._live()
            if self._word in _OVER:
                return  # there is nothing left to capture, and whoever listened has heard of it
            self._note(trouble, trouble.since_s - begun_s)
            await self._end(trouble)
            if self._deaths > 1:
                await asyncio.sleep(min(RESTART_LAST_S, RESTART_FIRST_S * 2.0 ** min(self._deaths - 2, 20)))

    async def _live(self) -> Trouble:
        """Start it and wait for its end, or for the moment when it must be replaced."""
        try:
            self._process = process = await start_capture(self.request, self._hear, self._identity)
        except OSError as error:
            return Trouble(f"can not be started: {error}", time.monotonic(), hears=False)
        for link in self.links:
            process.join(link.ours)
        end = asyncio.ensure_future(process.wait())
        patience = Patience(self._silent_s, BUSY_S if self.request.kind in LIVE_KINDS else LOADING_S)
        try:
            trouble = await wait_for_trouble(process, end, patience)
            return trouble or Trouble(_describe(end.result()), time.monotonic(), hears=False)
        finally:
            end.cancel()

    async def _end(self, trouble: Trouble) -> None:
        """It is in trouble, or ended. What still hears may let go of its device; what hangs in a driver ends when that lets go of it."""
        process = self._process
        if process is not None and process.returncode is None:
            if not trouble.hears:
                process.kill()
            await process.stop()

    def _note(self, trouble: Trouble, lived_s: float) -> None:
        if trouble.hears:
            self._deaths = 0
            self._say_silence(f"the source {self.request.kind} {trouble.text}; its capture process is replaced")
            self._silent_s = min(SILENT_LAST_S, 2 * self._silent_s) if lived_s < SILENT_MEMORY_S else SILENT_FIRST_S
        else:
            self._deaths = self._deaths + 1 if lived_s < LONG_LIFE_S else 1
            self._say_death(f"the capture process of the source {self.request.kind} {trouble.text}")

    def _say_silence(self, text: str) -> None:
        """Said once, until there are samples again; a device that never gave any is a source that failed."""
        log.warning("%s", text)
        self._silences += 1
        if self._silences == 1:
            self._tell(SourceSaid(text))
        elif self._silences == HOPELESS and self._word != GIVEN:
            self._tell(SourceEnded(f"{text}, {HOPELESS} times without a sample", failed=True))

    def _say_death(self, text: str) -> None:
        log.warning("%s", text)
        if self._deaths == HOPELESS and self._word != GIVEN:
            self._tell(SourceEnded(f"{text}, {HOPELESS} times without a sample", failed=True))
        else:
            self._tell(SourceSaid(f"{text}; it is started again"))

    def _hear(self, word: str) -> None:
        self._word = word
        if word == GIVEN and self._silences:
            self._silences = 0
            self._tell(SourceSaid(f"the source {self.request.kind} gives samples again"))


class FrameKeeper:
    """The capture processes of one slot: one, and for as long as a swap to another source takes, two."""

    def __init__(self, data_folder: Path, *, plain: bool = False) -> None:
        """`plain`: without slots, as where the system has none."""
        self._data_folder = data_folder
        self._plain = plain or not slots_exist()
        self._captures: list[Capture] = []
        self._kept: Capture | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [capture.pid for capture in self._captures if capture.pid is not None]

    def link(self, application: Application | None, version: InstalledAt, identity: ChildIdentity | None, tell: Tell) -> FrameLink | None:
        """A doorbell for one more worker; None where it has no source or opens it itself. `tell` hears of captures that die."""
        request = self._request(application, version) if application is not None else None
        if request is None:
            return None
        capture = next((one for one in self._captures if one.fits(request, version.installed)), None)
        if capture is None:
            devices = identity.with_devices({request.kind}) if identity is not None else None
            capture = Capture(request, version.installed, devices)
            self._captures.append(capture)
        link = FrameLink(capture, *make_pair(plain=self._plain), tell)
        capture.join(link)
        return link

    def unlink_after(self, link: FrameLink, end: Awaitable[object]) -> None:
        """The worker has its doorbell, and ends with `end`."""
        link.theirs.close()
        self._start(self._unlink(link, end))

    def unlink(self, link: FrameLink) -> None:
        """The worker of this link is gone."""
        link.ours.close()
        link.theirs.close()
        if link in link.capture.links:
            link.capture.leave(link)
        self._sweep()

    def keep_only(self, link: FrameLink | None) -> None:
        """Keep this one's capture even while it has no worker; the others end with their last worker."""
        self._kept = link.capture if link is not None else None
        self._sweep()

    async def stop(self) -> None:
        """End all of them."""
        self._kept = None
        for capture in self._captures:
            for link in list(capture.links):
                self.unlink(link)
        self._sweep()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)

    def _sweep(self) -> None:
        idle = [capture for capture in self._captures if capture is not self._kept and not capture.links]
        for capture in idle:
            self._captures.remove(capture)
            self._start(capture.stop())

    async def _unlink(self, link: FrameLink, end: Awaitable[object]) -> None:
        await end
        self.unlink(link)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _request(self, application: Application, version: InstalledAt) -> CaptureRequest | None:
        source = application.source
        if source.kind not in FRAME_KINDS or not pairs_exist():
            return None
        try:
            data = read_bounded(version.folder / MANIFEST_NAME, MANIFEST_MAX_BYTES)
            if sha256_of(data) != version.installed.model.digest:
                return None  # its worker will say so
            inputs = read_manifest(data).inputs
        except (OSError, ContractError):
            return None
        options = msgspec.json.encode(source.options, order="deterministic")
        return CaptureRequest(source.kind, options, inputs, str(self._data_folder), self._plain)


def _describe(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
