"""What the HTTP handlers work with, in one place."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from fleet_server.conductor.moves import Conduct
from fleet_server.devices.credentials import Credentials
from fleet_server.devices.desired import Director
from fleet_server.devices.enrolment import AttemptLimit
from fleet_server.samples.intake import DEFAULT_LIMITS, SampleLimits
from fleet_server.samples.sample_files import SampleFiles
from fleet_server.store.artifacts import ArtifactStore
from fleet_server.store.database import Database
from fleet_server.times import Clock
from fleet_server.trust.server_keys import ServerKeyPair

T = TypeVar("T")
P = ParamSpec("P")
UPLOADS_AT_ONCE = 8
"""Bodies of samples in memory at a time."""
DeviceChange = Callable[[str], Awaitable[None]]


async def _nothing(_device: str) -> None:
    return


@dataclass(frozen=True)
class Floor:
    """The parts of the server that a request may use."""

    database: Database
    artifacts: ArtifactStore
    samples: SampleFiles
    credentials: Credentials
    keys: ServerKeyPair
    fleet: str
    operator_token: str
    clock: Clock
    mqtt_url: Callable[[], str]
    name: str = "eyelet fleet server"
    loopback: bool = True
    ca_sha256: str = ""
    sample_limits: SampleLimits = DEFAULT_LIMITS
    admit: DeviceChange = _nothing
    expel: DeviceChange = _nothing
    enrolments: AttemptLimit = field(init=False)
    logins: AttemptLimit = field(init=False)
    uploading: set[str] = field(default_factory=set)
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPLOADS_AT_ONCE))

    def __post_init__(self) -> None:
        """Attempts are counted by this server's clock."""
        object.__setattr__(self, "enrolments", AttemptLimit(self.clock))
        object.__setattr__(self, "logins", AttemptLimit(self.clock))

    @property
    def conduct(self) -> Conduct:
        """Who signs wishes, and what time it is."""
        return Conduct(Director(self.fleet, self.keys.director), self.clock())

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a reading function of a connection with these arguments."""
        return await self.database.read_async(lambda connection: work(connection, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a writing function of a connection with these arguments; returns after the commit."""
        return await self.database.write_async(lambda connection: work(connection, *args, **kwargs))
