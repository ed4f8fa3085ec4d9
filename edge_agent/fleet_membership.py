"""The device's membership in its fleet: the pinned identity, the ways to the server, and the desk that talks with it."""

import logging
from typing import Protocol

from edge_agent.desired_polling import poll_desired
from edge_agent.enrolment import EnrolmentError, Identity, load_identity
from edge_agent.fleet_desk import Account, DeskOwner, FleetDesk
from edge_agent.fleet_link import FleetLink, LinkAccount, LinkError
from edge_agent.hardware import agent_version
from edge_agent.home import Home
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.memory import Memory
from edge_agent.outbox import Outbox
from edge_agent.running_slots import Begin
from edge_agent.settings import Settings
from edge_agent.update.repository import Repository

LOOK_AGAIN_S = 60.0

log = logging.getLogger(__name__)


class MemberOwner(DeskOwner, Protocol):
    """The supervisor, as the desk sees it."""

    boot_id: str


class Membership:
    """`identity` is None where the device belongs to no fleet, or where its identity can not be read (`trouble` then says why).

    A device whose identity can not be read serves what it has: the disk may be better the next time.
    """

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home, self._settings = home, settings
        self.identity: Identity | None = None
        self.http: ServerHttp | None = None
        self.repository: Repository | None = None
        self.trouble = ""
        try:
            self.identity = load_identity(home)
        except EnrolmentError as error:
            log.error("%s. The agent serves what it has", error)  # noqa: TRY400  (said in words)
            self.trouble = str(error)
        if self.identity is not None:
            self._reach_server(self.identity)

    def _reach_server(self, identity: Identity) -> None:
        record = identity.record
        try:
            self.http = ServerHttp(record.server_url, credentials=(record.device, identity.password), ca_file=identity.ca_file)
        except (HttpError, OSError, ValueError) as error:  # the address, the pinned authority or the password is none any more
            log.error("The fleet's server can not be asked: %s", error)  # noqa: TRY400  (said in words)
            self.trouble = f"the fleet's server can not be asked: {error}. Enrol again with a new token and --again"
            return
        self.repository = Repository(self._home, record)

    @property
    def is_member(self) -> bool:
        """Whether a fleet decides what runs here, be its identity readable or not."""
        return self.identity is not None or bool(self.trouble)

    def is_readable_now(self) -> bool:
        """Whether an identity that could not be read at the start can be read by now."""
        try:
            return self.identity is None and bool(self.trouble) and load_identity(self._home) is not None
        except EnrolmentError:
            return False

    def join(self, memory: Memory, owner: MemberOwner, begin: Begin) -> FleetDesk | None:
        """Begin to talk with the fleet; None where there is none."""
        identity, settings = self.identity, self._settings
        if identity is None:
            return None
        record = identity.record
        outbox = Outbox(self._home.outbox, max_bytes=settings.outbox_max_bytes)
        desk = FleetDesk(self._home, Account(identity, owner.boot_id, agent_version()), memory, outbox, owner)
        account = LinkAccount(
            mqtt_url=record.mqtt_url,
            fleet=record.fleet,
            device=record.device,
            password=identity.password,
            boot_id=owner.boot_id,
            ca_file=identity.ca_file,
            keepalive_s=settings.keepalive_s,
        )
        try:
            link = FleetLink(account, desk)
        except LinkError as error:  # the server gave a wrong address at the enrolment; over HTTP it can still be reached
            log.error("No connection with the fleet's broker: %s", error)  # noqa: TRY400  (said in words)
            self.trouble = str(error)
        else:
            desk.attach(link)
            begin(link.run(), "fleet-link")
        desk.apply_kept_desired()
        begin(desk.pump(), "outbox-pump")
        if self.http is not None:
            begin(poll_desired(self.http, lambda: desk.is_connected, desk.take_desired), "poll-desired")
        return desk
