"""What lets an update wait before it begins: its turn, a right clock, a wish that may still be begun."""

import asyncio
import datetime
import logging

from contract.codec import parse_time
from contract.states import FailureReason
from edge_agent.update.plan import StepFailedError
from edge_agent.update.records import Update

BUILT_AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
"""A clock before this moment is wrong: expiry dates can not be judged by it."""

log = logging.getLogger(__name__)


async def wait_for_clock() -> datetime.datetime:
    """The time, once this device's clock can be right."""
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    while now < BUILT_AT:
        log.warning("This device's clock says %s, which can not be; the update waits for a right clock", now.isoformat())
        await asyncio.sleep(10)
        now = datetime.datetime.now(tz=datetime.timezone.utc)
    return now


def check_may_begin(update: Update, now: datetime.datetime) -> None:
    """Raises StepFailedError where the wish may not be begun any more."""
    not_after = update.wish.not_after
    if not_after and now > parse_time(not_after):
        raise StepFailedError(FailureReason.NOT_TRUSTED, f"the wish could be begun until {not_after}; the server must ask again")
