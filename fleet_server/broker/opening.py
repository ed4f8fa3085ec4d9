"""Open the broker that the operator chose: embedded, a managed mosquitto, or one that runs elsewhere."""

import contextlib
import dataclasses
import logging
import secrets
import ssl
from collections.abc import AsyncIterator

from contract.files import write_atomic
from fleet_server.broker.access import SERVER_USERNAME, FleetAuthenticator
from fleet_server.broker.listener import Listener, start_listener
from fleet_server.broker.mosquitto import access_rules, password_lines, start_mosquitto
from fleet_server.broker.settings import (
    EMBEDDED,
    MOSQUITTO,
    Broker,
    BrokerAddress,
    BrokerError,
    BrokerSettings,
    DeviceDirectory,
    loopback_of,
    parse_address,
)

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_broker(settings: BrokerSettings, devices: DeviceDirectory) -> AsyncIterator[Broker]:
    """The chosen broker, for as long as the block lives.

    Raises:
        BrokerError: it can not be started, or the choice is none.
    """
    if settings.choice == EMBEDDED:
        opened = _open_embedded(settings, devices)
    elif settings.choice == MOSQUITTO:
        opened = start_mosquitto(settings, devices)
    else:
        opened = _open_external(settings, devices)
    async with opened as broker:
        yield broker


@dataclasses.dataclass(frozen=True)
class EmbeddedBroker:
    """The listener in this process; it asks the device directory at each connect."""

    address: BrokerAddress
    listener: Listener

    async def admit(self, device: str) -> None:
        """Nothing to do."""

    async def expel(self, device: str) -> None:
        """Cut the device off now; the directory refuses it from here on."""
        self.listener.disconnect(device)


@contextlib.asynccontextmanager
async def _open_embedded(settings: BrokerSettings, devices: DeviceDirectory) -> AsyncIterator[Broker]:
    password = secrets.token_urlsafe(32)
    authenticator = FleetAuthenticator(settings.fleet, password, devices.find_verifier)
    context = _server_context(settings)
    async with contextlib.AsyncExitStack() as stack:
        try:
            listener = await stack.enter_async_context(start_listener(settings.host, settings.port, authenticator, ssl_context=context))
        except OSError as error:
            raise BrokerError(
                f"the MQTT listener can not use {settings.host}:{settings.port}: {error}. Is another server running?"
            ) from error
        host, tls = loopback_of(settings.host), context is not None
        yield EmbeddedBroker(BrokerAddress(host, listener.port, password=password, tls=tls, pinned=settings.tls_cert), listener)


def _server_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


@dataclasses.dataclass(frozen=True)
class ExternalBroker:
    """A broker that others run: the accounts and access rules it needs are kept in files for its operator."""

    address: BrokerAddress
    settings: BrokerSettings
    devices: DeviceDirectory

    def write_files(self) -> None:
        """Write `passwords` and `access`, in mosquitto's formats."""
        folder = self.settings.folder
        write_atomic(folder / "passwords", password_lines(self.devices.list_verifiers()), mode=0o600)
        write_atomic(folder / "access", access_rules(self.settings.fleet, self.address.username))

    async def admit(self, device: str) -> None:
        """Tell the operator where the new account is written."""
        self.write_files()
        logger.warning("Add the account of %s to the broker at %s; it is in %s", device, self.address.url, self.settings.folder)

    async def expel(self, device: str) -> None:
        """Tell the operator what to remove."""
        self.write_files()
        logger.warning("Remove the account of %s from the broker at %s", device, self.address.url)


@contextlib.asynccontextmanager
async def _open_external(settings: BrokerSettings, devices: DeviceDirectory) -> AsyncIterator[Broker]:
    broker = ExternalBroker(parse_address(settings.choice), settings, devices)
    if broker.address.username in devices.list_verifiers():
        raise BrokerError(f"a device is named like the server's account {broker.address.username!r}; use {SERVER_USERNAME!r}")
    broker.write_files()
    yield broker
