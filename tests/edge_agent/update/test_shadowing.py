"""What a shadow run is judged by, what is added up, and when there is none."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import UpdatePolicy
from contract.pairs import (
    BLOCKS_PER_SHADOW,
    SCORE_DIFFERENCE_BOUNDS,
    SHADOW_PATIENCE,
    Disagreement,
    PairedBlock,
    PairedResult,
    describe_pairs,
)
from contract.sketches import LATENCY_BOUNDS_US, Histogram
from contract.states import VERSION_FAULTS, FailureReason, GateVerdict, UpdateState
from edge_agent.heat import Heat, read_heat
from edge_agent.sensors import Zone
from edge_agent.update.pair_book import PairBook
from edge_agent.update.plan import StepFailedError
from edge_agent.update.records import Installed, Update
from edge_agent.update.shadowing import HEAT_EVERY_S, Shadowing, judge
from edge_agent.update.waiting import LOOK_AGAIN_S, Leave
from edge_agent.update.work_time import Turn, WorkTime
from edge_agent.worker.messages import Paired
from edge_agent.worker.shadow_run import NoShadowError, ShadowError
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper
from tests.edge_agent.update.examples import installed, wish
from tests.simulators.virtual_time import run_virtually

PASS, WAIT, FAIL = GateVerdict.PASS, GateVerdict.WAIT, GateVerdict.FAIL
POLICY = UpdatePolicy(shadow_s=60.0, shadow_min_pairs=50, shadow_max_disagreement=0.05, error_share=0.02)
ANY = UpdatePolicy(shadow_s=60.0)
BOARDS = Path(__file__).parents[2] / "golden" / "sysfs"
GOOD = PairedResult(pairs=100, disagreements=5)


@pytest.mark.parametrize(
    ("policy", "paired", "elapsed_s", "verdict", "reason"),
    [
        (POLICY, GOOD, 59.0, WAIT, None),
        (POLICY, GOOD, 60.0, PASS, None),
        (POLICY, PairedResult(pairs=100, disagreements=6), 59.0, WAIT, None),
        (POLICY, PairedResult(pairs=100, disagreements=6), 60.0, FAIL, FailureReason.SHADOW_DISAGREEMENT),
        (POLICY, PairedResult(pairs=49), 60.0, WAIT, None),
        (POLICY, PairedResult(pairs=49, disagreements=49), 179.0, WAIT, None),
        (POLICY, PairedResult(pairs=49), 60.0 * SHADOW_PATIENCE, FAIL, FailureReason.SHADOW_TOO_FEW_PAIRS),
        (POLICY, PairedResult(pairs=60, errors=2), 60.0, FAIL, FailureReason.SHADOW_ERRORS),
        (POLICY, PairedResult(pairs=99, errors=1), 60.0, PASS, None),
        (POLICY, PairedResult(errors=100), 60.0, FAIL, FailureReason.SHADOW_ERRORS),
        (ANY, PairedResult(), 60.0, PASS, None),
        (ANY, PairedResult(pairs=100, disagreements=100), 60.0, PASS, None),
        (ANY, PairedResult(errors=19), 60.0, PASS, None),
        (msgspec.structs.replace(ANY, shadow_max_disagreement=0.0), PairedResult(pairs=19, disagreements=19), 60.0, PASS, None),
        (
            msgspec.structs.replace(ANY, shadow_max_disagreement=0.0),
            PairedResult(pairs=20, disagreements=1),
            60.0,
            FAIL,
            FailureReason.SHADOW_DISAGREEMENT,
        ),
    ],
)
def test_verdicts(policy: UpdatePolicy, paired: PairedResult, elapsed_s: float, verdict: GateVerdict, reason: FailureReason | None) -> None:
    judged = judge(policy, paired, elapsed_s, policy.shadow_s)
    assert (judged.verdict, judged.reason) == (verdict, reason), judged.detail
    assert judged.detail
    assert "accura" not in judged.detail


def test_a_refusal_says_what_was_seen_and_what_is_tolerated() -> None:
    paired = PairedResult(pairs=1204, disagreements=101, disagreed=(Disagreement("7", "1", 101),))
    assert judge(POLICY, paired, 60.0, 60.0).detail == "disagreed on 8.4 % of 1,204 pairs: 7→1 101 times; at most 5.0% are tolerated"


def counted(pairs: int, disagreements: int = 0, errors: int = 0, dropped: int = 0) -> Paired:
    latency = Histogram.of(LATENCY_BOUNDS_US, [100.0] * pairs)
    difference = Histogram.of(SCORE_DIFFERENCE_BOUNDS, [0.0] * pairs)
    changes = (Disagreement("a", "b", disagreements),) if disagreements else ()
    return Paired(pairs, disagreements, changes, errors, dropped, latency, latency, difference)


def test_pairs_are_put_into_the_block_of_their_time_and_lives_are_added_up() -> None:
    book = PairBook(shadow_s=20.0)  # blocks of a second
    book.take(counted(3, 1), 0.4)
    book.take(counted(5, 1), 0.9)
    book.take(counted(9, 4), 2.1)
    book.end_life()
    book.take(counted(2, 2, errors=1, dropped=4), 3.5)
    result = book.result()
    assert result.blocks == (PairedBlock(5, 1), PairedBlock(0, 0), PairedBlock(4, 3), PairedBlock(2, 2))
    assert (result.pairs, result.disagreements, result.errors, result.dropped) == (11, 6, 1, 4)
    assert result.disagreed == (Disagreement("a", "b", 6),)
    assert result.current_latency_us is not None
    assert result.current_latency_us.count == 11


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 5), st.booleans()), max_size=30))
def test_the_blocks_add_up_to_the_whole(steps: list[tuple[int, int, float, bool]]) -> None:
    book, elapsed_s, pairs, disagreements = PairBook(shadow_s=10.0), 0.0, 0, 0
    for more, wrong, passed_s, ends in steps:
        elapsed_s += passed_s
        pairs, disagreements = pairs + more, disagreements + min(wrong, more)
        book.take(counted(pairs, disagreements), elapsed_s)
        if ends:
            book.end_life()
            pairs = disagreements = 0
    result = book.result()
    assert sum(block.pairs for block in result.blocks) == result.pairs
    assert sum(block.disagreements for block in result.blocks) == result.disagreements
    assert len(result.blocks) <= BLOCKS_PER_SHADOW * elapsed_s / 10.0 + 1


# The work, with a candidate that is a variable and virtual time


class Keeper(WorkerKeeper):
    """Serves what it is told; `pid` is this process."""

    def __init__(self, tmp_path: Any, serving: Installed | None) -> None:
        super().__init__(KeeperSettings("main", (), tmp_path), lambda *_: None, lambda _: None)
        self.now: Any = SimpleNamespace(name="worker") if serving else None
        self.known = Serving(serving, tmp_path) if serving else None

    @property
    def serving(self) -> Serving | None:
        return self.known

    @property
    def is_answering(self) -> bool:
        return self.now is not None

    @property
    def worker(self) -> Any:
        return self.now

    @property
    def pid(self) -> int | None:
        return psutil.Process().pid if self.now else None


class Site:
    """A slot and its tools, as far as shadowing looks at them."""

    def __init__(self, tmp_path: Any, serving: Installed | None, policy: UpdatePolicy) -> None:
        self.keeper = Keeper(tmp_path, serving)
        self.update = Update(UpdateState.SHADOWING, wish(2, 5, policy=policy), variant="onnx-float32")
        self.begun: list[Any] = []
        self.pairs_per_s, self.fault, self.trouble_after_s = 10.0, None, 1e9
        self.start_takes_s = 0.0
        self.at: Any = None  # what happens at each look
        self.heat: Callable[[], Heat] = Heat
        self.waits: list[str] = []
        self.running = 0
        store = SimpleNamespace(version_folder=lambda digest: tmp_path / digest)
        settings = SimpleNamespace(threads=1, update_heat_patience_s=3600.0, update_max_temperature_c=0.0)
        machinery = SimpleNamespace(shadow_beside=self.shadow_beside, read_heat=self.read_heat, in_thread=self.in_thread)
        self.tools: Any = SimpleNamespace(store=store, settings=settings, machinery=machinery, turn=Turn())

    def read_heat(self) -> Heat:
        return self.heat()

    async def in_thread(self, _name: str, function: Callable[[], Heat]) -> Heat:
        return function()

    def say_waits(self, state: UpdateState, text: str) -> None:
        assert state is UpdateState.SHADOWING
        assert not self.running, "no candidate runs while it waits"
        self.waits.append(text)

    def policy_of(self, update: Update) -> Update:
        return self.update

    def work(self) -> Any:
        slot: Any = self
        return Shadowing(self.tools, slot, Leave(self.tools, slot, WorkTime())).run(self.update)

    @contextlib.asynccontextmanager
    async def shadow_beside(self, worker: object, order: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(self.start_takes_s)
        if self.fault is not None:
            raise self.fault
        self.begun.append(order)
        self.running += 1
        try:
            yield _Run(self, worker)
        finally:
            self.running -= 1


class _Run:
    def __init__(self, site: Site, worker: object) -> None:
        self.site, self.worker = site, worker
        self.begun_s = asyncio.get_running_loop().time()

    @property
    def age_s(self) -> float:
        return asyncio.get_running_loop().time() - self.begun_s

    @property
    def trouble(self) -> ShadowError | None:
        late = self.age_s > self.site.trouble_after_s
        return ShadowError(FailureReason.TIMED_OUT, "in the shadow it hangs") if late else None

    @property
    def counts(self) -> Paired | None:
        if self.site.at is not None:
            self.site.at(self.age_s)
        return counted(int(self.site.pairs_per_s * self.age_s))

    def is_beside(self, worker: object) -> bool:
        return worker is self.worker


def test_it_ends_after_its_time_with_all_pairs(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    done = run_virtually(site.work())
    assert done.paired is not None
    assert 590 <= done.paired.pairs <= 610
    assert len(done.paired.blocks) >= BLOCKS_PER_SHADOW
    (order,) = site.begun
    assert (order.share, order.request.variant, order.request.sockets) == (1.0, "onnx-float32", ())
    assert (order.request.in_shadow_of.version, order.request.application) == (1, None)


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        (None, "there is no version yet to compare with"),
        (installed(2), "the model stays the same"),
        (
            msgspec.structs.replace(installed(1), model=msgspec.structs.replace(installed(1).model, model="letters")),
            "letters serves, another",
        ),
    ],
)
def test_where_there_is_nothing_to_compare_with_it_is_skipped_and_says_so(tmp_path: Any, serving: Installed | None, reason: str) -> None:
    site = Site(tmp_path, serving, POLICY)
    done = run_virtually(site.work())
    assert done.paired is not None
    assert reason in done.paired.skipped
    assert site.begun == []


def test_without_memory_it_is_skipped_unless_pairs_are_demanded(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used = psutil.Process().memory_info().rss
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=used))
    done = run_virtually(Site(tmp_path, installed(1), ANY).work())
    assert "a second worker needs" in done.paired.skipped
    with pytest.raises(StepFailedError, match="50 pairs are demanded") as caught:
        run_virtually(Site(tmp_path, installed(1), POLICY).work())
    assert caught.value.reason is FailureReason.SHADOW_TOO_FEW_PAIRS


def test_without_traffic_it_is_passed_with_the_reason(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), ANY)
    site.pairs_per_s = 0.0
    assert run_virtually(site.work()).paired.skipped == "no inference came within 60 s"


def test_without_the_pairs_that_are_demanded_it_waits_then_fails(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.pairs_per_s = 0.1
    with pytest.raises(StepFailedError, match=r"18 of the 50 demanded pairs came within 18\d s") as caught:
        run_virtually(site.work())
    assert caught.value.reason is FailureReason.SHADOW_TOO_FEW_PAIRS
    assert caught.value.paired is not None
    assert caught.value.paired.pairs == 18


def test_a_candidate_that_hangs_fails_with_the_pairs_it_had(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.trouble_after_s = 9.5
    with pytest.raises(StepFailedError, match="hangs") as caught:
        run_virtually(site.work())
    assert caught.value.reason is FailureReason.TIMED_OUT
    assert caught.value.paired is not None
    assert caught.value.paired.pairs >= 90


def test_where_nothing_can_be_handed_over_it_is_skipped(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.fault = NoShadowError("this system can not")
    assert run_virtually(site.work()).paired.skipped == "this system can not"


def test_when_the_worker_that_serves_is_replaced_the_candidate_begins_again_beside_the_next(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)

    def replace(age_s: float) -> None:
        if len(site.begun) == 1 and age_s > 20:
            site.keeper.now = SimpleNamespace(name="the next worker")

    site.at = replace
    done = run_virtually(site.work())
    assert len(site.begun) == 2
    assert done.paired is not None
    assert done.paired.pairs > 550, "the pairs of both lives count"


def test_while_no_worker_answers_it_waits_for_one(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    worker, site.keeper.now = site.keeper.now, None

    async def story() -> Any:
        asyncio.get_running_loop().call_later(30.0, lambda: setattr(site.keeper, "now", worker))
        return await site.work()

    assert run_virtually(story()).paired.pairs >= 590


def test_a_newer_policy_may_end_it_early_and_never_prolongs_it(tmp_path: Any) -> None:
    async def story(site: Site, shadow_s: float) -> float:
        newest = msgspec.structs.replace(site.update, wish=wish(2, 6, policy=msgspec.structs.replace(ANY, shadow_s=shadow_s)))
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        work = site.work()
        loop.call_later(10.0, lambda: setattr(site, "update", newest))
        await work
        return loop.time() - begun_s

    assert run_virtually(story(Site(tmp_path, installed(1), POLICY), 0.0)) == pytest.approx(11, abs=2)
    assert run_virtually(story(Site(tmp_path, installed(1), POLICY), 600.0)) == pytest.approx(60, abs=2)


def test_the_time_in_the_shadow_begins_when_the_candidate_is_ready(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.start_takes_s = 50.0
    assert run_virtually(site.work()).paired.pairs >= 590


# Heat

HOT, WARM, COOL = Heat((Zone(91.0),)), Heat((Zone(84.0),)), Heat((Zone(60.0),))
WAITS = "waits to cool down: it is hotter than 85 °C"


def run_timed(site: Site) -> tuple[Any, float]:
    """What came out, and how long it took."""

    async def story() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        return await site.work(), loop.time() - begun_s

    return run_virtually(story())


def heat_by_time(*changes: tuple[float, Heat]) -> Callable[[], Heat]:
    """The heat that came last, by seconds since the first reading."""
    begun_s: list[float] = []

    def read() -> Heat:
        now_s = asyncio.get_running_loop().time()
        begun_s[:] = begun_s or [now_s]
        return [heat for at_s, heat in ((0.0, COOL), *changes) if now_s - begun_s[0] >= at_s][-1]

    return read


def test_a_device_that_becomes_hot_ends_the_candidate_until_it_is_cooler_and_the_time_stands_still(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.heat = heat_by_time((25.0, HOT), (300.0, WARM), (600.0, COOL))
    done, took_s = run_timed(site)
    assert len(site.begun) == 2
    assert (set(site.waits[:-1]), site.waits[-1]) == ({WAITS}, "")
    assert 560 <= done.paired.paused_s <= 600 + LOOK_AGAIN_S
    assert took_s == pytest.approx(60 + done.paired.paused_s, abs=3)
    assert done.paired.pairs == pytest.approx(600, abs=20), "what came before counts, and the rest of the time is made up for"
    assert len(done.paired.blocks) <= BLOCKS_PER_SHADOW + 1
    assert "; paused for 9 min, too hot" in describe_pairs(done.paired)


def test_a_short_peak_ends_no_candidate(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.heat = heat_by_time((HEAT_EVERY_S * 1.5, HOT), (HEAT_EVERY_S * 2.5, COOL))
    done, _ = run_timed(site)
    assert (len(site.begun), site.waits, done.paired.paused_s) == (1, [], 0.0)
    assert "paused" not in describe_pairs(done.paired)


def test_no_candidate_begins_on_a_device_that_is_hot_from_the_start(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.heat = heat_by_time((0.0, HOT), (100.0, COOL))
    done, took_s = run_timed(site)
    assert len(site.begun) == 1
    assert took_s == pytest.approx(60 + done.paired.paused_s, abs=3)


def test_a_device_that_stays_hot_in_the_shadow_fails_with_its_pairs_and_does_not_blame_the_version(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.heat = heat_by_time((25.0, HOT))
    with pytest.raises(
        StepFailedError, match=r"in the shadow, for 3600 s it is hotter than 85 °C \(now 91 °C\); cool the device"
    ) as caught:
        run_virtually(site.work())
    assert caught.value.reason is FailureReason.DEVICE_NOT_READY
    assert caught.value.reason not in VERSION_FAULTS
    assert caught.value.paired is not None
    assert caught.value.paired.pairs >= 200


def warming(site: Site) -> Callable[[], Heat]:
    """A device that a candidate heats by a degree each second, and that loses one in twenty without."""
    celsius, seen_s = 60.0, 0.0

    def read() -> Heat:
        nonlocal celsius, seen_s
        now_s = asyncio.get_running_loop().time()
        celsius += (now_s - seen_s) * (1.0 if site.running else -0.05) if seen_s else 0.0
        seen_s = now_s
        return Heat((Zone(celsius),))

    return read


def test_a_device_that_a_candidate_makes_hot_again_and_again_has_one_patience_for_all_waits(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), msgspec.structs.replace(POLICY, shadow_s=86400.0))
    site.heat = warming(site)
    with pytest.raises(StepFailedError, match="in the shadow, for 3600 s") as caught:
        run_virtually(site.work())
    assert caught.value.reason is FailureReason.DEVICE_NOT_READY
    assert 1 < len(site.begun) < 40
    assert caught.value.paired is not None
    assert caught.value.paired.paused_s <= 3600


@pytest.mark.parametrize("board", ["raspberry-pi-4", "jetson-orin-nano", "x86-desktop", "virtual-machine"])
def test_on_a_recorded_board_that_is_cool_it_runs_through(tmp_path: Any, board: str) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    site.heat = lambda: read_heat(BOARDS / board)
    assert run_virtually(site.work()).paired.paused_s == 0


def test_a_recorded_board_that_becomes_hot_waits_then_goes_on(tmp_path: Any) -> None:
    site = Site(tmp_path, installed(1), POLICY)
    hot, cool = read_heat(BOARDS / "raspberry-pi-5-undervolted"), read_heat(BOARDS / "raspberry-pi-4")
    site.heat = heat_by_time((25.0, hot), (300.0, cool))
    done = run_virtually(site.work())
    assert len(site.begun) == 2
    assert 200 <= done.paired.paused_s <= 300
