"""Between the fleet and the slots: takes wishes in, keeps reports and measurements until the server has them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from contract.codec import MESSAGE_MAX_BYTES, decode, encode, utc_now
from contract.commands import CommandResult
from contract.errors import ContractError
from contract.messages import Ack, Event, Health, Hello, Reported, Telemetry, UpdateEvent, Window
from contract.signing import PublicKey
from contract.topics import Channel
from edge_agent.commands_received import Action, Addressee, CommandsReceived
from edge_agent.enrolment import Identity
from edge_agent.fleet_link import FleetLink
from edge_agent.home import Home
from edge_agent.memory import Memory
from edge_agent.outbox import Outbox
from edge_agent.update.records import Wish
from edge_agent.update.wishes import VerifiedDesired, WishRefusedError, keep_desired, load_desired, verify_desired, wishes_of

ACK_WAIT_S = 3.0
"""After a hello the server says what it has; if it says nothing for so long, everything is sent again."""
RESEND_S = 30.0
REFUSALS_MOST, REFUSALS_WITHIN_S = 20, 600.0
"""Every event is a write to the flash: who sends nonsense without end is told of so often, and the rest stands in the log."""

log = logging.getLogger(__name__)


class DeskOwner(Protocol):
    """What the desk asks of the supervisor, on the event loop."""

    def wishes_came(self, wishes: dict[str, Wish], telemetry: Telemetry) -> None:
        """The director wishes this."""

    def build_reported(self, revision_seen: int) -> Reported:
        """The device as it is now."""


class Account(NamedTuple):
    """Who this device is for the fleet, and since when it runs."""

    identity: Identity
    boot_id: str
    agent_version: str


class FleetDesk:
    """Everything that passes between this device and its fleet, but for files."""

    def __init__(self, home: Home, account: Account, memory: Memory, outbox: Outbox, owner: DeskOwner) -> None:
        self._home = home
        self._account = account
        self._memory = memory
        self.outbox = outbox
        self._owner = owner
        self._link: FleetLink | None = None
        self._commands: CommandsReceived | None = None
        self._session = 0
        self._may_send = False
        self._sent_upto = 0
        self._stream = outbox.stream
        self._last_send = 0.0
        self._report_due = False
        self._wake = asyncio.Event()
        self._refusals_told: deque[float] = deque()
        self.refusal = ""  # why the last desired document was refused

    @property
    def is_connected(self) -> bool:
        """Whether the device holds a session with the broker."""
        return self._link is not None and self._link.connected

    @property
    def device(self) -> str:
        """The device's id."""
        return self._account.identity.record.device

    @property
    def fleet(self) -> str:
        """The fleet's id."""
        return self._account.identity.record.fleet

    def attach(self, link: FleetLink) -> None:
        """Use this connection."""
        self._link = link

    def open_commands(self, actions: Mapping[str, Action]) -> CommandsReceived:
        """Take commands from now on; whoever asked for them runs them."""
        addressee = Addressee(self.device, self._director)
        self._commands = CommandsReceived(self._home.state / "commands.json", addressee, actions, self._keep)
        return self._commands

    # Wishes

    def apply_kept_desired(self) -> None:
        """At the start: what was wished last, so that no network is needed to go on."""
        record = self._account.identity.record
        try:
            verified = load_desired(self._desired_path, self._director, fleet=record.fleet, device=record.device)
        except WishRefusedError as error:
            log.warning("%s", error)
            return
        if verified is not None:
            self._memory.see_revision(verified.document.revision)
            self._pass_on(verified)

    @property
    def _desired_path(self) -> Path:
        return self._home.state / "desired.json"

    @property
    def _director(self) -> PublicKey:
        return self._account.identity.director_key

    def take_desired(self, envelope: bytes) -> bool:
        """Verify and pass on a desired document; False where it is refused."""
        record = self._account.identity.record
        seen = self._memory.revision_seen
        try:
            verified = verify_desired(envelope, self._director, fleet=record.fleet, device=record.device, seen=seen)
        except WishRefusedError as error:
            self._refuse(str(error))
            return False
        self.refusal = ""
        if verified.document.revision > seen:
            self._keep_wish(verified)
        self._pass_on(verified)
        return True

    def _keep_wish(self, verified: VerifiedDesired) -> None:
        """Only what is kept counts as seen; else the server would not send it again after a restart."""
        try:
            keep_desired(self._desired_path, verified)
        except OSError as error:
            log.warning("Revision %d can not be kept on this disk: %s", verified.document.revision, error)
        else:
            self._memory.see_revision(verified.document.revision)

    def _refuse(self, reason: str) -> None:
        log.warning("%s", reason)
        is_news, self.refusal = reason != self.refusal, reason
        now_s = time.monotonic()
        while self._refusals_told and self._refusals_told[0] < now_s - REFUSALS_WITHIN_S:
            self._refusals_told.popleft()
        if is_news and len(self._refusals_told) < REFUSALS_MOST:
            self._refusals_told.append(now_s)
            self.tell("agent", reason)

    def _pass_on(self, verified: VerifiedDesired) -> None:
        self._owner.wishes_came(wishes_of(verified.document), verified.document.telemetry)
        self.report_soon()

    # What the fleet is told

    def report_soon(self) -> None:
        """The reported state changed: send it with the next turn of the pump."""
        self._report_due = True
        self._wake.set()

    def tell(self, kind: str, text: str, *, update: UpdateEvent | None = None, data: dict[str, str | int | float] | None = None) -> None:
        """Keep an event until the server has it."""
        event = Event(
            schema_version=Event.SCHEMA_VERSION,
            stream="",
            sequence=1,
            boot_id=self._account.boot_id,
            at=utc_now(),
            kind=kind,
            update=update,
            text=text[:2000],
            data=dict(data or {}),
        )
        self._keep(event)

    def keep_window(self, window: Window) -> None:
        """Keep a window until the server has it."""
        self._keep(window)

    def _keep(self, message: Event | Window | CommandResult) -> None:
        self.outbox.put(message)
        self._wake.set()

    def send_health(self, health: Health) -> None:
        """Say how the device is, if anyone listens."""
        self._publish(Channel.HEALTH, encode(health))

    # The link's side

    def next_session(self) -> int:
        """A session number greater than all before."""
        self._session = self._memory.next_session()
        return self._session

    def link_opened(self, session: int) -> None:
        """Say hello and what runs; wait for what the server has before anything is sent again."""
        hello = Hello(
            schema_version=Hello.SCHEMA_VERSION,
            boot_id=self._account.boot_id,
            session=session,
            desired_revision=self._memory.revision_seen,
            stream=self.outbox.stream,
            agent_version=self._account.agent_version,
            first_sequence=self.outbox.first_sequence,
        )
        self._may_send, self._sent_upto, self._last_send = False, 0, time.monotonic()
        self._publish(Channel.HELLO, encode(hello))
        self.report_soon()

    def link_closed(self) -> None:
        """Nothing can be sent until the next hello."""
        self._may_send = False

    def message_received(self, channel: Channel, payload: bytes) -> None:
        """A message from the server."""
        if channel is Channel.DESIRED and payload:
            self.take_desired(payload)
        elif channel is Channel.ACK:
            self._take_ack(payload)
        elif channel is Channel.COMMAND and payload and self._commands is not None:
            self._commands.take(payload)

    def _take_ack(self, payload: bytes) -> None:
        try:
            ack = decode(payload, Ack, "the acknowledgement", MESSAGE_MAX_BYTES)
        except ContractError as error:
            log.warning("%s", error)
            return
        if ack.stream != self.outbox.stream:
            return
        if self.outbox.acknowledge(ack.stream, ack.committed_upto):
            self._last_send = time.monotonic()
        self._may_send = True
        self._wake.set()

    def _publish(self, channel: Channel, payload: bytes) -> bool:
        return self._link is not None and self._link.publish(channel, payload)

    # The pump

    async def pump(self) -> None:
        """Send what is due, whenever something is; until cancelled."""
        while True:
            self._wake.clear()
            self.send_due(time.monotonic())
            try:
                await asyncio.wait_for(self._wake.wait(), 1.0)
            except asyncio.TimeoutError:
                continue

    def send_due(self, now: float) -> None:
        """Send the reported state if it changed, and what waits in the outbox."""
        self.outbox.flush_if_due()
        if not self.is_connected:
            return
        if self._report_due and self._publish(Channel.REPORTED, encode(self._owner.build_reported(self._memory.revision_seen))):
            self._report_due = False
        if not self._may_send:
            if now - self._last_send < ACK_WAIT_S:
                return
            self._may_send = True
        if now - self._last_send > RESEND_S:
            self._sent_upto = 0
        self._send_outbox(now)

    def _send_outbox(self, now: float) -> None:
        waiting = self.outbox.waiting()
        if self.outbox.stream != self._stream:  # the file was lost: its numbers begin anew
            self._stream, self._sent_upto = self.outbox.stream, 0
        for message in waiting:
            if message.sequence <= self._sent_upto:
                continue
            if not self._publish(message.channel, message.body):
                return
            self._sent_upto, self._last_send = message.sequence, now
