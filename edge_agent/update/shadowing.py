"""The work of `shadowing`: the candidate beside the version that serves, on the same samples; then a verdict from what was counted.

Nothing that serves changes here. Where there is nothing to compare with the state is passed at once,
with the reason in the paired result. A device that becomes too hot ends the candidate and waits until it
is cooler, as before a download; the time in the shadow stands still meanwhile. Without labels it is about
disagreement: who is right nobody knows.
"""

import asyncio
import logging
from typing import NamedTuple

import msgspec
import psutil

from contract.messages import UpdatePolicy
from contract.pairs import SHADOW_PATIENCE, PairedResult, describe_pairs
from contract.states import FailureReason, GateVerdict
from edge_agent.update.events import Succeeded
from edge_agent.update.pair_book import PairBook
from edge_agent.update.plan import StepFailedError
from edge_agent.update.records import Installed, Update
from edge_agent.update.tools import SlotServing, Tools
from edge_agent.update.waiting import Leave
from edge_agent.worker.messages import Access, Served
from edge_agent.worker.shadow_run import NoShadowError, ShadowError, ShadowOrder, ShadowRun
from edge_agent.worker_keeper import Manner, Serving

JUDGED_FROM_PAIRS = 20
"""With fewer pairs a share says nothing: it is reported, and refuses no version."""
MEMORY_FACTOR = 1.5
"""So many times the memory of the worker that serves must be available, or nothing is started beside it."""
HEAT_EVERY_S = 10.0
"""So often the sensors are asked. Twice in turn too hot ends the candidate: a short peak does not."""
_AGAIN_S = 0.2

log = logging.getLogger(__name__)


class ShadowVerdict(NamedTuple):
    """Pass, wait or fail, with the reason in words."""

    verdict: GateVerdict
    detail: str
    reason: FailureReason | None = None


def judge(policy: UpdatePolicy, paired: PairedResult, elapsed_s: float, shadow_s: float) -> ShadowVerdict:
    """Judge once, at the end of `shadow_s`; later where the demanded pairs did not come by then, but never for ever."""
    if elapsed_s < shadow_s:
        return ShadowVerdict(GateVerdict.WAIT, f"{elapsed_s:.0f} of {shadow_s:g} s passed")
    words = describe_pairs(paired)
    answered = paired.pairs + paired.errors
    if answered >= JUDGED_FROM_PAIRS and paired.errors > policy.error_share * answered:
        tolerated = f"{policy.error_share:.1%} are tolerated"
        detail = f"no answer to {paired.errors} of {answered} samples that the version before answered, {tolerated}"
        return ShadowVerdict(GateVerdict.FAIL, detail, FailureReason.SHADOW_ERRORS)
    if paired.pairs < policy.shadow_min_pairs:
        detail = f"{paired.pairs} of the {policy.shadow_min_pairs} demanded pairs came"
        if elapsed_s < SHADOW_PATIENCE * shadow_s:
            return ShadowVerdict(GateVerdict.WAIT, detail)
        return ShadowVerdict(GateVerdict.FAIL, f"{detail} within {elapsed_s:.0f} s", FailureReason.SHADOW_TOO_FEW_PAIRS)
    if paired.pairs >= JUDGED_FROM_PAIRS and paired.disagreements > policy.shadow_max_disagreement * paired.pairs:
        detail = f"{words}; at most {policy.shadow_max_disagreement:.1%} are tolerated"
        return ShadowVerdict(GateVerdict.FAIL, detail, FailureReason.SHADOW_DISAGREEMENT)
    return ShadowVerdict(GateVerdict.PASS, words)


class ShadowTime:
    """Time in the shadow: from the moment at which the first candidate is ready; until then from the work's beginning."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()
        self._has_begun = False

    def begin(self) -> None:
        """A candidate is ready."""
        if not self._has_begun:
            self._has_begun, self._begun_s = True, self._loop.time()

    def leave_out(self, passed_s: float) -> None:
        """So much that has passed does not count."""
        self._begun_s += passed_s

    @property
    def elapsed_s(self) -> float:
        """Seconds."""
        return self._loop.time() - self._begun_s


class HeatGuard:
    """Looks whether the device is too hot for a candidate, and waits until it is cooler."""

    def __init__(self, leave: Leave) -> None:
        self._leave = leave
        self._loop = asyncio.get_running_loop()
        self._next_s = 0.0
        self._was_hot = False

    async def stays_hot(self) -> bool:
        """True at the second look in turn at which it is; most calls do not look."""
        if self._loop.time() < self._next_s:
            return False
        self._next_s = self._loop.time() + HEAT_EVERY_S
        was_hot, self._was_hot = self._was_hot, await self._leave.is_too_hot()
        return was_hot and self._was_hot

    async def cool_down(self, update: Update, book: PairBook, time: ShadowTime) -> None:
        """While no candidate runs; all waits of a shadow run share one patience. Raises StepFailedError with the pairs."""
        try:
            waited_s = await self._leave.to_cool_down(update, book.paused_s, was_hot=self._was_hot)
        except StepFailedError as error:
            raise StepFailedError(error.reason, f"in the shadow, {error.detail}", book.result()) from error
        time.leave_out(waited_s - book.paused_s)
        book.paused_s = waited_s
        self._was_hot, self._next_s = False, self._loop.time() + HEAT_EVERY_S


class Shadowing:
    """The work of one slot."""

    def __init__(self, tools: Tools, slot: SlotServing, leave: Leave) -> None:
        self._tools = tools
        self._slot = slot
        self._leave = leave

    async def run(self, update: Update) -> Succeeded:
        """Until the verdict; raises StepFailedError with the pairs."""
        if reason := self._reason_to_skip(update):
            return _skipped(update, reason)
        shadow_s = update.wish.policy.shadow_s
        book, time, heat = PairBook(shadow_s), ShadowTime(), HeatGuard(self._leave)
        while True:
            await heat.cool_down(update, book, time)
            try:
                verdict = await self._run_beside_present_worker(update, book, time, heat)
            except NoShadowError as error:
                if self._slot.keeper.is_answering:
                    return _skipped(update, str(error))
                verdict = None  # it is being replaced: the candidate is started again beside the next
            verdict = verdict or self._judge(update, book, time.elapsed_s)
            if verdict.verdict is GateVerdict.PASS:
                return Succeeded(update.state, paired=_seen(book.result(), shadow_s))
            if verdict.verdict is GateVerdict.FAIL and verdict.reason is not None:
                detail = f"{verdict.detail}: {book.last_error}" if verdict.reason is FailureReason.SHADOW_ERRORS else verdict.detail
                raise StepFailedError(verdict.reason, detail, book.result())
            await asyncio.sleep(_AGAIN_S)

    def _judge(self, update: Update, book: PairBook, elapsed_s: float) -> ShadowVerdict:
        """By the newest policy, which may end the run early and never prolongs it."""
        policy = self._slot.policy_of(update).wish.policy
        return judge(policy, book.result(), elapsed_s, min(policy.shadow_s, update.wish.policy.shadow_s))

    async def _run_beside_present_worker(self, update: Update, book: PairBook, time: ShadowTime, heat: HeatGuard) -> ShadowVerdict | None:
        """One life of the candidate; None where the worker that serves was replaced meanwhile, or the device is too hot."""
        worker = self._slot.keeper.worker
        if worker is None:
            return None
        try:
            async with self._tools.machinery.shadow_beside(worker, self._order(update)) as run:
                time.begin()
                return await self._watch(update, run, book, time, heat)
        except ShadowError as error:
            raise StepFailedError(error.reason, error.detail, book.result()) from error
        finally:
            book.end_life()

    async def _watch(self, update: Update, run: ShadowRun, book: PairBook, time: ShadowTime, heat: HeatGuard) -> ShadowVerdict | None:
        step_s = _step_s(update.wish.policy.shadow_s)
        while run.is_beside(self._slot.keeper.worker):
            await asyncio.sleep(step_s)
            if run.counts is not None:
                book.take(run.counts, time.elapsed_s)
            if run.trouble is not None:
                raise run.trouble
            verdict = self._judge(update, book, time.elapsed_s)
            if verdict.verdict is not GateVerdict.WAIT:
                return verdict
            if await heat.stays_hot():
                log.info("The candidate in the shadow is ended until this device is cooler")
                return None
        return None

    def _order(self, update: Update) -> ShadowOrder:
        """The candidate's model with the application of the version that serves, whose samples it gets."""
        keeper, policy = self._slot.keeper, update.wish.policy
        candidate = Serving(update.candidate, self._tools.store.version_folder(update.wish.model.manifest.sha256))
        request = keeper.request_for(candidate, Manner(update.variant, self._tools.settings.threads))
        serving = keeper.serving
        served = Served(serving.installed.model.version, serving.installed.variant) if serving is not None else None
        application = serving.application if serving is not None else None
        request = msgspec.structs.replace(
            request, application=application, in_shadow_of=served, window_s=_step_s(policy.shadow_s), access=Access()
        )
        return ShadowOrder(request, policy.shadow_share, keeper.settings.identity)

    def _reason_to_skip(self, update: Update) -> str:
        serving, candidate = self._slot.keeper.serving, update.candidate
        if serving is None:
            return "there is no version yet to compare with"
        if reason := _nothing_to_compare(serving.installed, candidate):
            return reason
        reason = self._lack_of_memory()
        if reason and update.wish.policy.shadow_min_pairs:
            detail = f"{update.wish.policy.shadow_min_pairs} pairs are demanded, and none can be had: {reason}"
            raise StepFailedError(FailureReason.SHADOW_TOO_FEW_PAIRS, detail)
        return reason

    def _lack_of_memory(self) -> str:
        pid = self._slot.keeper.pid
        try:
            used = psutil.Process(pid).memory_info().rss if pid is not None else 0
        except psutil.Error:
            return ""
        available = psutil.virtual_memory().available
        if available >= MEMORY_FACTOR * used:
            return ""
        return f"{available >> 20} MiB of memory are available, a second worker needs {int(MEMORY_FACTOR * used) >> 20}"


def _nothing_to_compare(current: Installed, candidate: Installed) -> str:
    if current.model.model != candidate.model.model:
        return f"{current.model.model} serves, another model"
    if current.model.digest == candidate.model.digest:
        return "the model stays the same"
    return ""


def _step_s(shadow_s: float) -> float:
    return min(1.0, max(0.1, shadow_s / 10))


def _seen(paired: PairedResult, shadow_s: float) -> PairedResult:
    if paired.pairs or paired.errors or paired.dropped:
        return paired
    return msgspec.structs.replace(paired, skipped=f"no inference came within {shadow_s:g} s")


def _skipped(update: Update, reason: str) -> Succeeded:
    log.info("No shadow run: %s", reason)
    return Succeeded(update.state, paired=PairedResult(skipped=reason))
