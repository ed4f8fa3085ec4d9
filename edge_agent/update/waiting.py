"""What lets an update wait: a right clock, a maintenance window, a cooler device. The time of its state stands still meanwhile.

The owner's windows, where set, hold instead of the operator's: together they might never be open.
An update that is forced waits like any other; what must not wait is wished for without windows.
"""

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable, Sequence

from contract.codec import parse_time
from contract.maintenance import MaintenanceWindow, parse_window
from contract.states import FailureReason, UpdateState
from edge_agent.heat import Heat, find_heat, is_slowed_down, temperature_words
from edge_agent.update.maintenance import find_closed
from edge_agent.update.plan import StepFailedError
from edge_agent.update.records import Update, Wish
from edge_agent.update.tools import SlotServing, Tools
from edge_agent.update.work_time import WorkTime

BUILT_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
"""A clock before this moment is wrong: expiry dates and windows can not be judged by it."""
CLOCK_PATIENCE_S = 86400.0
SELF_TEST_HEAT_PATIENCE_S = 600.0
"""Then the self-test is run all the same, and its latencies are marked."""
LOOK_AGAIN_S = 20.0
"""The clock may be set, the policy changed: no wait is slept through."""

log = logging.getLogger(__name__)


class Leave:
    """Holds a slot's update back until it may go on."""

    def __init__(self, tools: Tools, slot: SlotServing, time: WorkTime) -> None:
        self._tools = tools
        self._slot = slot
        self._time = time

    async def to_begin(self, update: Update) -> None:
        """Once the clock is right, the window for downloads is open and the wish may still be begun.

        Raises:
            StepFailedError: it may not be begun any more, or the clock stayed wrong.
        """
        wish = self._wish(update)
        if needs_clock(wish) or self._windows_to_activate(wish):
            await self._wait(update, self._find_wrong_clock(asyncio.get_running_loop().time() + CLOCK_PATIENCE_S))
        await self.to_download(update)
        check_may_begin(self._wish(update), self._tools.machinery.now())

    async def to_download(self, update: Update) -> None:
        """Once the window for downloads is open; a lone package downloads nothing.

        Raises:
            StepFailedError: the wish may not be begun any more.
        """

        async def find() -> str:
            wish = self._wish(update)
            if (text := self._find_closed(self._windows_to_download(wish))) and update.state is UpdateState.QUEUED:
                check_may_begin(wish, self._tools.machinery.now())
            return text

        await self._wait(update, find)

    async def until_download_must_pause(self, update: Update) -> None:
        """Returns when the window for downloads closes."""
        while not self._find_closed(self._windows_to_download(self._wish(update))):  # noqa: ASYNC110  (a clock sets no event)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def to_activate(self, update: Update) -> None:
        """Once the window for activation is open."""

        async def find() -> str:
            return self._find_closed(self._windows_to_activate(self._wish(update)))

        await self._wait(update, find)

    async def to_cool_down(self, update: Update, waited_s: float = 0.0, *, was_hot: bool = False) -> float:
        """Once the device is not too hot; gives for how long it waited, `waited_s` of before included.

        Where it `was_hot` just now it must be cooler by the margin, as whoever has waited.

        Raises:
            StepFailedError: it stays too hot.
        """
        loop = asyncio.get_running_loop()
        patience_s, begun_s = self._tools.settings.update_heat_patience_s, loop.time()
        hot = await self._wait_for_cooler(update, patience_s - waited_s, has_waited=was_hot)
        if hot is not None:
            words = temperature_words(hot)
            raise StepFailedError(
                FailureReason.DEVICE_NOT_READY, f"for {patience_s:g} s {find_heat(hot, self._max_c)} (now {words}); cool the device"
            )
        passed_s = loop.time() - begun_s
        return waited_s + (passed_s if passed_s >= LOOK_AGAIN_S else 0.0)  # less is what a look takes

    async def to_measure(self, update: Update) -> None:
        """Once latencies tell something, or after some minutes all the same."""
        await self._wait_for_cooler(update, min(SELF_TEST_HEAT_PATIENCE_S, self._tools.settings.update_heat_patience_s))

    async def is_too_hot(self) -> bool:
        """Whether it is too hot just now to go on."""
        return bool(find_heat(await self._read_heat(), self._max_c))

    async def is_slowed_down(self) -> bool:
        """Whether latencies measured just now mislead."""
        return is_slowed_down(await self._read_heat(), self._max_c)

    async def _wait_for_cooler(self, update: Update, patience_s: float, *, has_waited: bool = False) -> Heat | None:
        """None once it is cool enough; else what was read last, after `patience_s`."""
        loop = asyncio.get_running_loop()
        until_s, heat = loop.time() + patience_s, Heat()

        async def find() -> str:
            nonlocal heat, has_waited
            heat = await self._read_heat()
            text = find_heat(heat, self._max_c, has_waited=has_waited)
            has_waited = bool(text)
            return f"waits to cool down: {text}" if text and loop.time() < until_s else ""

        await self._wait(update, find)
        return heat if find_heat(heat, self._max_c) else None

    @property
    def _max_c(self) -> float:
        return self._tools.settings.update_max_temperature_c

    async def _read_heat(self) -> Heat:
        machinery = self._tools.machinery
        try:
            return await machinery.in_thread("read-heat", machinery.read_heat)
        except OSError as error:
            log.warning("The sensors can not be read, so nothing waits for them: %s", error)
            return Heat()

    async def _wait(self, update: Update, find: Callable[[], Awaitable[str]]) -> None:
        """Until `find` names nothing to wait for."""
        text = await find()
        if not text:
            return
        with self._time.standing_still(), self._tools.turn.held_up():
            while text:
                self._slot.say_waits(update.state, text)
                await asyncio.sleep(LOOK_AGAIN_S)
                text = await find()
        self._slot.say_waits(update.state, "")

    def _wish(self, update: Update) -> Wish:
        """The newest wish for the same: its policy may have changed."""
        return self._slot.policy_of(update).wish

    def _windows_to_download(self, wish: Wish) -> Sequence[MaintenanceWindow]:
        if wish.package:
            return ()
        return [parse_window(text) for text in self._tools.settings.download_windows or wish.policy.download_windows]

    def _windows_to_activate(self, wish: Wish) -> Sequence[MaintenanceWindow]:
        return [parse_window(text) for text in self._tools.settings.activation_windows or wish.policy.activation_windows]

    def _find_closed(self, windows: Sequence[MaintenanceWindow]) -> str:
        closed = find_closed(windows, self._tools.machinery.now())
        return f"waits for its maintenance window, {closed}" if closed else ""

    def _find_wrong_clock(self, until_s: float) -> Callable[[], Awaitable[str]]:
        loop = asyncio.get_running_loop()

        async def find() -> str:
            now = self._tools.machinery.now()
            if now >= BUILT_AT:
                return ""
            if loop.time() >= until_s:
                raise StepFailedError(FailureReason.DEVICE_NOT_READY, f"its clock says {now:%Y-%m-%d}, which can not be; set it")
            return f"waits for a right clock, {now:%Y-%m-%d} can not be"

        return find


def needs_clock(wish: Wish) -> bool:
    """Whether expiry dates count for a wish; those of a lone package do not, it has none."""
    return bool(wish.not_after) or not wish.package or wish.is_from_bundle


def check_may_begin(wish: Wish, now: datetime.datetime) -> None:
    """Raises StepFailedError where the wish may not be begun any more."""
    not_after = wish.not_after
    if not_after and now > parse_time(not_after):
        raise StepFailedError(FailureReason.NOT_TRUSTED, f"the wish could be begun until {not_after}; the server must ask again")
