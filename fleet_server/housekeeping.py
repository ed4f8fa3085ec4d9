"""Work that comes round by itself: renew snapshot and timestamp, drop old windows and field samples, end commands."""

import asyncio
import logging
from functools import partial

from fleet_server.api.floor import Floor
from fleet_server.devices.commands import drop_old_commands, expire_commands
from fleet_server.samples.listing import drop_old_samples, remove_unused
from fleet_server.telemetry import drop_old
from fleet_server.trust.publication import renew_online_roles

_LOG = logging.getLogger(__name__)
EVERY_S = 3600.0


async def run_housekeeping(floor: Floor) -> None:
    """Run at the start and then every hour, until cancelled."""
    database, online, clock = floor.database, floor.keys.online, floor.clock
    await floor.write(remove_unused, floor.samples, floor.samples.list_digests())  # files whose row was never committed
    while True:
        renewed = await database.write_async(partial(renew_online_roles, key=online, now=clock()))
        if renewed:
            _LOG.info("Signed again before expiry: %s", ", ".join(renewed))
        gone = await database.write_async(partial(drop_old, now=clock()))
        if gone:
            _LOG.info("%s old windows were dropped", gone)
        await floor.write(expire_commands, clock())
        await floor.write(drop_old_commands, clock())
        old = await floor.write(drop_old_samples, clock(), floor.sample_limits.keep_s)
        await floor.write(remove_unused, floor.samples, old)
        await asyncio.sleep(EVERY_S)
