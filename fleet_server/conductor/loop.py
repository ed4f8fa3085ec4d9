"""The task that keeps rollouts moving: after each change, and for the deadlines in their rows."""

import asyncio
import logging
from functools import partial

from fleet_server.conductor.moves import Conduct
from fleet_server.conductor.reading import list_active
from fleet_server.conductor.reconcile import has_work, reconcile
from fleet_server.devices.desired import Director
from fleet_server.errors import FleetError
from fleet_server.store.database import Change, Database
from fleet_server.times import Clock

_LOG = logging.getLogger(__name__)
TICK_S = 0.5
REST_S = 0.05
"""After a pass, so that a burst of messages is looked at once."""


async def run_conductor(database: Database, director: Director, clock: Clock) -> None:
    """Run until cancelled."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    database.listen(Change.ROLLOUTS, wake)
    while True:
        changed.clear()
        await conduct_once(database, director, clock)
        await asyncio.sleep(REST_S)
        try:
            await asyncio.wait_for(changed.wait(), TICK_S)
        except TimeoutError:
            continue


async def conduct_once(database: Database, director: Director, clock: Clock) -> None:
    """One pass over all active rollouts; one that fails does not hold up the others."""
    for rollout in await database.read_async(list_active):
        await _conduct(database, director, clock, rollout)


async def _conduct(database: Database, director: Director, clock: Clock, rollout: str) -> None:
    try:
        if await database.read_async(partial(has_work, rollout=rollout, now=clock())):
            await database.write_async(partial(reconcile, conduct=Conduct(director, clock()), rollout=rollout))
    except FleetError as error:
        _LOG.error("Rollout %s can not go on: %s", rollout, error)
