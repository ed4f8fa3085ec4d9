"""The task that keeps rollouts moving: after each change, and for the deadlines in their rows."""

import asyncio
import logging
from functools import partial
from typing import NamedTuple

from fleet_server.conductor.moves import Conduct
from fleet_server.conductor.reading import list_active
from fleet_server.conductor.reconcile import has_work, reconcile
from fleet_server.conductor.restored import has_heard
from fleet_server.devices.desired import Director
from fleet_server.errors import FleetError
from fleet_server.store.database import Change, Database
from fleet_server.times import Clock

_LOG = logging.getLogger(__name__)
TICK_S = 0.5
REST_S = 0.05
"""After a pass, so that a burst of messages is looked at once."""
HEARING_S = 60.0
"""Devices try to connect again at least once a minute."""


class Start(NamedTuple):
    """How this server began: when, which devices were online as far as it knows, which rollouts were running."""

    at: float
    online: frozenset[str] = frozenset()
    rollouts: frozenset[str] = frozenset()


async def run_conductor(database: Database, director: Director, clock: Clock, start: Start) -> None:
    """Run until cancelled.

    The rollouts that were running at the start rest until the devices that were online have spoken
    again, at most `HEARING_S`: if this is an older copy of a server, they say so, and the rollouts pause.
    """
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    database.listen(Change.ROLLOUTS, wake)
    resting = start.rollouts if start.online else frozenset()
    while True:
        changed.clear()
        if resting and await may_go_on(database, clock, start):
            resting = frozenset()
        await conduct_once(database, director, clock, resting)
        await asyncio.sleep(REST_S)
        try:
            await asyncio.wait_for(changed.wait(), TICK_S)
        except TimeoutError:
            continue


async def may_go_on(database: Database, clock: Clock, start: Start) -> bool:
    """Whether the devices that were online have spoken since the start, or had time enough to."""
    if not 0 <= clock() - start.at < HEARING_S:
        return True
    return await database.read_async(partial(has_heard, devices=start.online, since=start.at))


async def conduct_once(database: Database, director: Director, clock: Clock, resting: frozenset[str] = frozenset()) -> None:
    """One pass over all active rollouts but `resting` ones; one that fails does not hold up the others."""
    for rollout in await database.read_async(list_active):
        if rollout in resting:
            continue
        await _conduct(database, director, clock, rollout)


async def _conduct(database: Database, director: Director, clock: Clock, rollout: str) -> None:
    try:
        if await database.read_async(partial(has_work, rollout=rollout, now=clock())):
            await database.write_async(partial(reconcile, conduct=Conduct(director, clock()), rollout=rollout))
    except FleetError as error:
        _LOG.error("Rollout %s can not go on: %s", rollout, error)
