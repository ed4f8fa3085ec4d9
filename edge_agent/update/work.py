"""The work of each update state: what `machine.Work` asks for, done with files, children and the worker."""

import asyncio
import contextlib
import datetime
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import psutil

from contract.codec import parse_time
from contract.errors import ContractError
from contract.files import check_file
from contract.manifest import FileEntry
from contract.messages import MeasuredVariant
from contract.sketches import Histogram
from contract.states import FailureReason, GateVerdict, UpdateState
from edge_agent.hardware import agent_version
from edge_agent.http_client import ServerHttp
from edge_agent.update.downloads import DownloadError, Patience, WrongContentError, fetch_object
from edge_agent.update.lone_package import read_lone_package
from edge_agent.update.machine import Succeeded
from edge_agent.update.plan import Plan, StepFailedError, build_plan, stated_min_version
from edge_agent.update.probation import Observed, baseline_of, judge
from edge_agent.update.records import Baseline, Installed, Update
from edge_agent.update.slots import CANDIDATE, CURRENT, LAST_KNOWN_GOOD
from edge_agent.update.tools import SlotServing, Tools
from edge_agent.worker.self_testing import SelfTestRequest, SelfTestResult
from edge_agent.worker_keeper import StartError

BUILT_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
"""A clock before this moment is wrong: expiry dates can not be judged by it."""
_FLUSH_WAIT_S = 0.3

log = logging.getLogger(__name__)


class UpdateWork:
    """The work of one slot's updates."""

    def __init__(self, tools: Tools, slot: SlotServing) -> None:
        self._tools = tools
        self._slot = slot
        self._plan: Plan | None = None
        self._has_turn = False
        self._work: Mapping[UpdateState, Callable[[Update], Awaitable[Succeeded]]] = {
            UpdateState.QUEUED: self._wait_for_turn,
            UpdateState.PREFLIGHT: self._preflight,
            UpdateState.DOWNLOADING: self._download,
            UpdateState.VERIFYING: self._verify,
            UpdateState.STAGED: self._stage,
            UpdateState.SELF_TESTING: self._self_test,
            UpdateState.ACTIVATING: self._activate,
            UpdateState.PROBATION: self._watch_probation,
            UpdateState.COMMITTING: self._commit,
            UpdateState.ROLLING_BACK: self._roll_back,
        }

    async def do(self, update: Update) -> Succeeded:
        """Do the work of an update's state.

        Raises:
            StepFailedError: it failed, with the reason to report.
            OSError: the disk failed.
        """
        return await self._work[update.state](update)

    def finish(self, update: Update) -> None:
        """The update ended, well or not: drop what only it needed, and let another slot's begin."""
        self._plan = None
        try:
            self._settle_pointers(update)
            self._collect_garbage()
        except OSError as error:
            log.warning("What the update left could not be removed: %s", error)
        if self._has_turn:
            self._has_turn = False
            self._tools.turn.release()

    def _settle_pointers(self, update: Update) -> None:
        """What could not be written while rolling back, or was half committed, is put right."""
        store, name = self._tools.store, self._slot.name
        current, proven = self._slot.going_back_to(), self._slot.proven()
        if store.pointer(name, CURRENT) != current:
            store.point(name, CURRENT, current)
        if proven != update.candidate == store.pointer(name, LAST_KNOWN_GOOD):
            store.point(name, LAST_KNOWN_GOOD, proven)
        store.point(name, CANDIDATE, None)

    def _collect_garbage(self) -> None:
        """Not while another slot's update is under way: nothing points yet to what that one fetched."""
        if self._tools.turn.locked() and not self._has_turn:
            return
        ours = [installed.model.digest for installed in (self._slot.proven(), self._slot.going_back_to()) if installed]
        self._tools.store.collect_garbage({*self._tools.memory.kept_digests, *ours})

    async def _wait_for_turn(self, update: Update) -> Succeeded:
        if not self._has_turn:
            await self._tools.turn.acquire()
            self._has_turn = True
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        while now < BUILT_AT:
            log.warning("This device's clock says %s, which can not be; the update waits for a right clock", now.isoformat())
            await asyncio.sleep(10)
            now = datetime.datetime.now(tz=datetime.timezone.utc)
        not_after = update.wish.not_after
        if not_after and now > parse_time(not_after):
            raise StepFailedError(FailureReason.NOT_TRUSTED, f"the wish could be begun until {not_after}; the server must ask again")
        return Succeeded(update.state)

    async def _preflight(self, update: Update) -> Succeeded:
        tools, wish = self._tools, update.wish
        if wish.package:
            documents = await tools.machinery.in_thread("read-package", partial(read_lone_package, tools.home, wish, tools.store.disk))
        elif tools.repository is None:
            raise StepFailedError(FailureReason.NOT_TRUSTED, "this device is not enrolled, so nobody can vouch for a version")
        else:
            documents = await tools.repository.fetch_documents(wish, Patience(tools.settings.repository_patience_s))
        model = wish.model.model
        min_version = tools.memory.raise_min_version(model, stated_min_version(documents, model))
        runtimes = tools.machinery.find_runtimes()
        plan = build_plan(wish, documents, min_version=min_version, runtimes=runtimes, agent_version=agent_version())
        self._check_room(plan)
        self._plan = plan
        return Succeeded(update.state)

    def _check_room(self, plan: Plan) -> None:
        missing = sum(entry.size_bytes for entry in plan.entries if not self._tools.store.has_object(entry))
        free = psutil.disk_usage(str(self._tools.home.folder)).free
        needed = max(missing, plan.manifest.requirements.disk_bytes) + self._tools.settings.disk_reserve_bytes
        if missing and free < needed:
            raise StepFailedError(FailureReason.NO_SPACE, f"{needed} bytes are needed (reserve included), {free} are free")
        memory = psutil.virtual_memory().available
        if plan.manifest.requirements.memory_bytes > memory:
            raise StepFailedError(
                FailureReason.INCOMPATIBLE,
                f"the version needs {plan.manifest.requirements.memory_bytes} bytes of memory, {memory} are available",
            )

    async def _download(self, update: Update) -> Succeeded:
        http = self._tools.http
        missing = await self._tools.machinery.in_thread("look-at-objects", self._find_missing)
        if missing and http is None:
            raise StepFailedError(FailureReason.DOWNLOAD, "this device is not enrolled, so there is nowhere to fetch from")
        try:
            for entry in missing:
                await self._fetch(http, entry)
        except WrongContentError as error:
            raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
        except DownloadError as error:
            raise StepFailedError(FailureReason.DOWNLOAD, str(error)) from error
        return Succeeded(update.state)

    def _find_missing(self) -> list[FileEntry]:
        """What must be fetched; objects that are damaged on this disk count."""
        store, entries = self._tools.store, dict.fromkeys(self._planned().entries)
        store.drop_other_partials(entries)
        for entry in entries:
            store.drop_wrong_object(entry)
        return [entry for entry in entries if not store.has_object(entry)]

    async def _fetch(self, http: ServerHttp | None, entry: FileEntry) -> None:
        if http is None:
            return
        tools, cancelled = self._tools, threading.Event()
        patience = Patience(tools.settings.download_patience_s)
        try:
            fetch = partial(fetch_object, http, entry, tools.home.objects, cancelled=cancelled, patience=patience, disk=tools.store.disk)
            await tools.machinery.in_thread("download", fetch)
        finally:
            cancelled.set()

    async def _verify(self, update: Update) -> Succeeded:
        plan, digest, store = self._planned(), update.wish.model.manifest.sha256, self._tools.store
        assemble = partial(store.assemble, digest, plan.manifest_bytes, plan.files, plan.manifest)
        try:
            await self._tools.machinery.in_thread("assemble", assemble)
            if plan.acceptance is not None:
                samples = plan.acceptance.samples
                check_file(store.object_path(samples.sha256), samples.sha256, samples.size_bytes)
        except ContractError as error:
            raise StepFailedError(FailureReason.NOT_TRUSTED, str(error)) from error
        return Succeeded(update.state)

    async def _stage(self, update: Update) -> Succeeded:
        self._tools.store.point(self._slot.name, CANDIDATE, update.candidate)
        return Succeeded(update.state)

    async def _self_test(self, update: Update) -> Succeeded:
        plan, store, digest = self._planned(), self._tools.store, update.wish.model.manifest.sha256
        acceptance = plan.acceptance
        request = SelfTestRequest(
            package_folder=str(store.version_folder(digest)),
            digest=digest,
            variants=plan.variants,
            acceptance=str(store.object_path(acceptance.samples.sha256)) if acceptance else "",
            minimum=acceptance.minimum_score if acceptance else 0.0,
            label_set_digest=acceptance.label_set_digest if acceptance else "",
            timeout_s=update.wish.policy.self_test_timeout_s,
            threads=self._tools.settings.threads,
        )
        result = await self._tools.machinery.run_self_test(request)
        if result.reason is not None:
            raise StepFailedError(result.reason, result.detail)
        return Succeeded(update.state, variant=result.chosen, measured=_measured(result))

    async def _activate(self, update: Update) -> Succeeded:
        baseline = await self._measure_baseline() or update.baseline
        try:
            await self._slot.keeper.serve(self._slot.as_serving(update.candidate))
        except StartError as error:
            raise StepFailedError(error.reason, error.detail) from error
        self._tools.store.point(self._slot.name, CURRENT, update.candidate)
        return Succeeded(update.state, baseline=baseline)

    async def _measure_baseline(self) -> Baseline | None:
        self._slot.keeper.flush()
        await asyncio.sleep(_FLUSH_WAIT_S)
        book = self._slot.book()
        latency = book.recent_latency() if book is not None else Histogram((), [0])
        return baseline_of(latency)

    async def _watch_probation(self, update: Update) -> Succeeded:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            policy = self._slot.policy_of(update).wish.policy
            self._slot.keeper.flush()
            await asyncio.sleep(min(1.0, max(0.1, policy.probation_s / 10)))
            if failure := self._slot.source_failure(update.candidate):
                raise StepFailedError(FailureReason.INCOMPATIBLE, f"its application can not run here: {failure}")
            book = self._slot.book()
            latency = book.total.latency_us if book else Histogram((), [0])
            seen = Observed(
                inferences=latency.count,
                errors=book.total.errors if book else 0,
                latency_us=latency,
                crashes=self._slot.keeper.crashes(update.candidate),
                elapsed_s=loop.time() - begun,
            )
            verdict = judge(policy, update.baseline, seen)
            if verdict.verdict is GateVerdict.PASS:
                return Succeeded(update.state)
            if verdict.verdict is GateVerdict.FAIL and verdict.reason is not None:
                raise StepFailedError(verdict.reason, verdict.detail)

    async def _commit(self, update: Update) -> Succeeded:
        tools = self._tools
        if tools.store.check_installed(update.candidate) is None:
            raise StepFailedError(FailureReason.INTERNAL, "the version was damaged on this disk while it was being tried")
        self._point_to_proven(update.candidate)
        if self._plan is not None and self._plan.acceptance is not None:
            tools.memory.keep_acceptance(update.wish.model.model, (self._plan.acceptance.samples.sha256,))
        if update.wish.package:
            self._forget_package(update.wish.package)
        return Succeeded(update.state)

    def _point_to_proven(self, candidate: Installed) -> None:
        """The one step that commits; the pointer itself says whether it was taken."""
        store, name = self._tools.store, self._slot.name
        try:
            store.point(name, CURRENT, candidate)
            store.point(name, LAST_KNOWN_GOOD, candidate)
        except OSError as error:
            if store.pointer(name, LAST_KNOWN_GOOD) != candidate:
                raise
            log.warning("The version is committed, though the disk complained: %s", error)

    def _forget_package(self, name: str) -> None:
        with contextlib.suppress(OSError):  # a package that stays is cleared away by the next look into the inbox
            self._tools.store.disk.remove(self._tools.home.inbox / name)

    async def _roll_back(self, update: Update) -> Succeeded:
        good, keeper = self._slot.going_back_to(), self._slot.keeper
        try:
            self._settle_pointers(update)
        except OSError as error:
            log.warning("The pointers could not be written; the journal says all the same what to start with: %s", error)
        if good is None:
            await keeper.stop()
        elif not (keeper.is_answering and keeper.serving is not None and keeper.serving.installed == good):
            await self._serve_again(good)
        return Succeeded(update.state)

    async def _serve_again(self, good: Installed) -> None:
        """Without a gap where the version starts; else the one that failed must not go on serving in its place."""
        keeper, serving = self._slot.keeper, self._slot.as_serving(good)
        try:
            await keeper.serve(serving)
        except StartError as error:
            log.warning("The last known good version does not start and is tried again: %s", error.detail)
            await keeper.stop()
            await keeper.keep_serving(serving)
            if not keeper.is_answering:
                raise StepFailedError(FailureReason.INTERNAL, "the last known good version does not start") from error

    def _planned(self) -> Plan:
        if self._plan is None:
            raise StepFailedError(FailureReason.INTERNAL, "the update's plan is lost")
        return self._plan


def _measured(result: SelfTestResult) -> tuple[MeasuredVariant, ...]:
    return tuple(
        MeasuredVariant(
            variant=found.variant,
            latency_p50_ms=found.latency_p50_ms,
            latency_p95_ms=found.latency_p95_ms,
            max_difference=found.max_difference,
            acceptance_score=found.acceptance_score,
            chosen=found.variant == result.chosen,
        )
        for found in result.results
    )
