"""The work of each update state: what `Work` asks for, done with files, children and the worker."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from contract.messages import MeasuredVariant
from contract.sketches import Histogram
from contract.states import FailureReason, GateVerdict, UpdateState
from edge_agent.engine.accelerators import chosen_accelerators, placed_names
from edge_agent.sink_book import Refused
from edge_agent.update import machine
from edge_agent.update.events import Succeeded
from edge_agent.update.fetching import Fetching
from edge_agent.update.plan import Plan, StepFailedError
from edge_agent.update.probation import Observed, baseline_of, judge
from edge_agent.update.records import Baseline, Installed, Update
from edge_agent.update.shadowing import Shadowing
from edge_agent.update.slots import CANDIDATE, CURRENT, LAST_KNOWN_GOOD
from edge_agent.update.tools import SlotServing, Tools
from edge_agent.update.waiting import Leave
from edge_agent.update.work_time import WorkTime
from edge_agent.worker.self_testing import SelfTestRequest, SelfTestResult
from edge_agent.worker_keeper import StartError

_FLUSH_WAIT_S = 0.3

log = logging.getLogger(__name__)


class UpdateWork:
    """The work of one slot's updates."""

    def __init__(self, tools: Tools, slot: SlotServing) -> None:
        self._tools = tools
        self._slot = slot
        self.time = WorkTime()
        self._leave = Leave(tools, slot, self.time)
        self._fetching = Fetching(tools)
        self._has_turn = False
        self._work: Mapping[UpdateState, Callable[[Update], Awaitable[Succeeded]]] = {
            UpdateState.QUEUED: self._wait_for_turn,
            UpdateState.PREFLIGHT: self._preflight,
            UpdateState.DOWNLOADING: self._download,
            UpdateState.VERIFYING: self._fetching.verify,
            UpdateState.STAGED: self._stage,
            UpdateState.SELF_TESTING: self._self_test,
            UpdateState.SHADOWING: Shadowing(tools, slot, self._leave).run,
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
        succeeded = await self._work[update.state](update)
        if machine.next_is_activation(self._slot.policy_of(update)):
            await self._leave.to_activate(update)
        return succeeded

    def finish(self, update: Update) -> None:
        """The update ended, well or not: drop what only it needed, and let another slot's begin."""
        self._fetching.plan = None
        try:
            self._settle_pointers(update)
            self._collect_garbage()
        except OSError as error:
            log.warning("What the update left could not be removed: %s", error)
        if self._has_turn:
            self._has_turn = False
            self._tools.turn.release()

    async def _wait_for_turn(self, update: Update) -> Succeeded:
        if not self._has_turn:
            await self._tools.turn.take(self.time.now)
            self._has_turn = True
        await self._leave.to_begin(update)
        return Succeeded(update.state)

    async def _preflight(self, update: Update) -> Succeeded:
        await self._leave.to_cool_down(update)
        return await self._fetching.preflight(update)

    async def _download(self, update: Update) -> Succeeded:
        """In its windows: broken off at the end of one, it goes on in the next where it was."""
        while True:
            await self._leave.to_download(update)
            download = asyncio.create_task(self._fetching.download(update), name="download")
            pause = asyncio.create_task(self._leave.until_download_must_pause(update), name="download-window")
            try:
                await asyncio.wait({download, pause}, return_when=asyncio.FIRST_COMPLETED)
                if download.done():
                    return download.result()
            finally:
                download.cancel()
                pause.cancel()
                await asyncio.gather(download, pause, return_exceptions=True)

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

    async def _stage(self, update: Update) -> Succeeded:
        self._tools.store.point(self._slot.name, CANDIDATE, update.candidate)
        await self._leave.to_measure(update)
        return Succeeded(update.state)

    async def _self_test(self, update: Update) -> Succeeded:
        plan, store, digest = self._fetching.planned(), self._tools.store, update.wish.model.manifest.sha256
        acceptance = plan.acceptance
        request = SelfTestRequest(
            package_folder=str(store.version_folder(digest)),
            digest=digest,
            variants=self._placed_variants(plan),
            acceptance=str(store.object_path(acceptance.samples.sha256)) if acceptance else "",
            minimum=acceptance.minimum_score if acceptance else 0.0,
            label_set_digest=acceptance.label_set_digest if acceptance else "",
            timeout_s=update.wish.policy.self_test_timeout_s,
            threads=self._tools.settings.threads,
            engines_folder=str(self._tools.home.engines / digest),
        )
        throttled = await self._leave.is_slowed_down()
        result = await self._tools.machinery.run_self_test(request)
        throttled = throttled or await self._leave.is_slowed_down()
        if result.reason is not None:
            raise StepFailedError(result.reason, result.detail)
        return Succeeded(update.state, variant=result.chosen, measured=_measured(result, throttled=throttled))

    def _placed_variants(self, plan: Plan) -> tuple[str, ...]:
        """Every variant on the CPU and on what else this device has."""
        tools = self._tools
        accelerators = chosen_accelerators(tools.settings.accelerator, tools.machinery.find_accelerators())
        return placed_names({name: plan.manifest.variants[name].runtime for name in plan.variants}, accelerators)

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
        return baseline_of(latency, refused=book is not None and book.sinks.refused_lately())

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
                crashes=self._slot.keeper.lives.crashes(update.candidate),
                elapsed_s=loop.time() - begun,
                refused=book.sinks.refused(self._slot.keeper.pid) if book else Refused(),
            )
            verdict = judge(policy, update.baseline, seen)
            if verdict.verdict is GateVerdict.PASS:
                return Succeeded(update.state)
            if verdict.verdict is GateVerdict.FAIL and verdict.reason is not None:
                raise StepFailedError(verdict.reason, verdict.detail)

    async def _commit(self, update: Update) -> Succeeded:
        tools = self._tools
        was_committed = self._slot.proven() == update.candidate  # before a restart, but the journal could not be told
        if not was_committed and tools.store.check_installed(update.candidate) is None:
            raise StepFailedError(FailureReason.INTERNAL, "the version was damaged on this disk while it was being tried")
        self._point_to_proven(update.candidate)
        plan = self._fetching.plan
        if plan is not None and plan.acceptance is not None:
            acceptance = plan.acceptance
            tools.memory.keep_acceptance(update.wish.model.model, (acceptance.samples.sha256,), acceptance.minimum_score)
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
            if candidate not in {self._slot.proven(), store.pointer(name, LAST_KNOWN_GOOD)}:
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


def _measured(result: SelfTestResult, *, throttled: bool) -> tuple[MeasuredVariant, ...]:
    return tuple(
        MeasuredVariant(
            variant=found.variant,
            latency_p50_ms=found.latency_p50_ms,
            latency_p95_ms=found.latency_p95_ms,
            max_difference=found.max_difference,
            acceptance_score=found.acceptance_score,
            chosen=found.variant == result.chosen,
            throttled=throttled,
        )
        for found in result.results
    )
