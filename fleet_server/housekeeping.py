"""Work that comes round by itself: renew snapshot and timestamp, drop old windows."""

import asyncio
import logging
from functools import partial

from contract.signing import PrivateKey
from fleet_server.store.database import Database
from fleet_server.telemetry import drop_old
from fleet_server.times import Clock
from fleet_server.trust.publication import renew_online_roles

_LOG = logging.getLogger(__name__)
EVERY_S = 3600.0


async def run_housekeeping(database: Database, online: PrivateKey, clock: Clock) -> None:
    """Run at the start and then every hour, until cancelled."""
    while True:
        renewed = await database.write_async(partial(renew_online_roles, key=online, now=clock()))
        if renewed:
            _LOG.info("Signed again before expiry: %s", ", ".join(renewed))
        gone = await database.write_async(partial(drop_old, now=clock()))
        if gone:
            _LOG.info("%s old windows were dropped", gone)
        await asyncio.sleep(EVERY_S)
