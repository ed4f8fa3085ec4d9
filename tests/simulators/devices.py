"""Simulated devices that speak the contract over MQTT: enrol, take the wish, report update states, send windows and events.

No model runs; a `Behaviour` says how an update ends. Outbox, acknowledgement and resending are real.
"""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiomqtt
import httpx
import msgspec

from contract.claims import parse_token
from contract.codec import decode, encode, utc_now
from contract.commands import COMMAND_PAYLOAD_TYPE, Command, CommandResult
from contract.messages import (
    DEFAULT_SLOT,
    DESIRED_PAYLOAD_TYPE,
    Ack,
    Desired,
    DesiredModel,
    Drift,
    Event,
    Health,
    Hello,
    PresenceMessage,
    Reported,
    ReportedSlot,
    UpdateEvent,
    UpdateReport,
    Window,
)
from contract.pairs import Disagreement, PairedResult, describe_pairs
from contract.rest import EnrollAnswer, EnrollRequest
from contract.signing import generate_key, public_key_from_dict, public_key_to_dict, verify_payload
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.states import FINAL_UPDATE_STATES, FailureReason, HealthState, Presence, UpdateState
from contract.topics import RETAINED, Channel, build_topic, qos_of

AGENT_VERSION = "0.1.0"
PAIRED = PairedResult(1204, 37, (Disagreement("7", "1", 37),))
_TO_PROBATION = (UpdateState.ACTIVATING, UpdateState.PROBATION)
_TO_SELF_TEST = (UpdateState.QUEUED, UpdateState.PREFLIGHT, UpdateState.DOWNLOADING, UpdateState.VERIFYING, UpdateState.SELF_TESTING)


class Outcome(NamedTuple):
    """How an update ends: `done`, `failed` (before activation) or `rolled_back` (in probation); None: it never ends."""

    state: UpdateState | None = UpdateState.DONE
    reason: FailureReason | None = None


GOOD = Outcome()
REFUSED = Outcome(UpdateState.FAILED, FailureReason.ACCEPTANCE_BELOW_MINIMUM)
SLOW = Outcome(UpdateState.ROLLED_BACK, FailureReason.PROBATION_LATENCY)
STUCK = Outcome(None)
Behaviour = Callable[[DesiredModel], Outcome]
Obey = Callable[[Command], Awaitable[CommandResult | None]]


class Credentials(NamedTuple):
    """What a device keeps from its enrolment."""

    fleet: str
    device: str
    password: str
    mqtt_url: str
    director_key: dict[str, Any]


async def enrol(token: str, *, hardware_class: str = "simulated") -> Credentials:
    """Show a claim's secret once."""
    claim, password = parse_token(token), secrets.token_urlsafe(32)
    request = EnrollRequest(
        claim.claim_id, claim.secret, public_key_to_dict(generate_key().public), password, hardware_class, AGENT_VERSION
    )
    async with httpx.AsyncClient(base_url=claim.server_url, timeout=20) as client:
        response = await client.post("/v1/enroll", content=encode(request), headers={"content-type": "application/json"})
    answer = msgspec.json.decode(response.raise_for_status().content, type=EnrollAnswer)
    return Credentials(answer.fleet, answer.device, password, answer.mqtt_url, answer.director_key)


async def obey(command: Command) -> CommandResult | None:
    """Say that it is done."""
    return CommandResult(1, command.command_id, ok=True, text=f"{command.kind} done")


@dataclass
class SimulatedDevice:
    """One device; `online()` connects it for the length of a block, as often as wanted."""

    credentials: Credentials
    behaviour: Behaviour = lambda model: GOOD
    hardware_class: str = "simulated"
    obey: Obey = obey
    commands: list[Command] = field(default_factory=list)
    stream: str = field(default_factory=lambda: secrets.token_hex(8))
    sequence: int = 0
    outbox: dict[int, tuple[Channel, bytes]] = field(default_factory=dict)
    session: int = 0
    boot_id: str = "boot-1"
    revision: int = 0
    desired: Desired | None = None
    slot: ReportedSlot = field(default_factory=ReportedSlot)
    paired: PairedResult = PAIRED
    windows: int = 0
    busy: bool = False
    client: aiomqtt.Client | None = None

    @contextlib.asynccontextmanager
    async def online(self, *, hello: bool = True) -> AsyncIterator["SimulatedDevice"]:
        """Connected as long as the block lives; says good-bye at its end."""
        async with self._session(hello=hello):
            yield self
            await self.send(Channel.PRESENCE, PresenceMessage(1, Presence.OFFLINE, self.session, self.boot_id))

    @contextlib.asynccontextmanager
    async def online_until_cut(self) -> AsyncIterator["SimulatedDevice"]:
        """Connected as long as the block lives; at its end the cable is cut, so that the last will is sent."""
        with contextlib.suppress(aiomqtt.MqttError):
            async with self._session(hello=True) as client:
                yield self
                client._client.socket().shutdown(socket.SHUT_RDWR)

    @contextlib.asynccontextmanager
    async def _session(self, *, hello: bool) -> AsyncIterator[aiomqtt.Client]:
        self.session += 1
        gone = PresenceMessage(1, Presence.OFFLINE, self.session, self.boot_id)
        url = urlsplit(self.credentials.mqtt_url)
        client = aiomqtt.Client(
            url.hostname or "",
            url.port or 1883,
            username=self.credentials.device,
            password=self.credentials.password,
            identifier=self.credentials.device,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=aiomqtt.Will(self._topic(Channel.PRESENCE), encode(gone), qos=1, retain=True),
        )
        async with client:
            self.client = client
            await client.subscribe(self._topic(Channel.DESIRED), qos=1)
            await client.subscribe(self._topic(Channel.ACK), qos=0)
            await client.subscribe(self._topic(Channel.COMMAND), qos=1)
            await self.send(Channel.PRESENCE, PresenceMessage(1, Presence.ONLINE, self.session, self.boot_id))
            if hello:
                await self.say_hello()
            task = asyncio.create_task(self._listen(client))
            try:
                yield client
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                self.client = None

    async def say_hello(self) -> None:
        """Say which revision it has, then send again what was not acknowledged."""
        first = min(self.outbox, default=self.sequence + 1)
        await self.send(Channel.HELLO, Hello(1, self.boot_id, self.session, self.revision, self.stream, AGENT_VERSION, first))
        for channel, payload in list(self.outbox.values()):
            await self._publish(channel, payload)

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            payload = bytes(message.payload)
            if str(message.topic).endswith("/ack"):
                self._forget(decode(payload, Ack, "the ack"))
            else:
                await (self.take_command(payload) if str(message.topic).endswith("/command") else self.take_wish(payload))

    def _forget(self, ack: Ack) -> None:
        if ack.stream == self.stream:
            for sequence in [number for number in self.outbox if number <= ack.committed_upto]:
                del self.outbox[sequence]

    async def take_command(self, envelope: bytes) -> None:
        """Verify a command and answer it, through the outbox; the same one again gets the same answer."""
        key = public_key_from_dict(self.credentials.director_key)
        command = decode(verify_payload(envelope, COMMAND_PAYLOAD_TYPE, {"director": key}), Command, "the command")
        self.commands.append(command)
        result = await self.obey(command)
        if result is not None:
            self.sequence += 1
            answer = msgspec.structs.replace(result, stream=self.stream, sequence=self.sequence)
            await self._queue(Channel.COMMAND_RESULT, encode(answer))

    async def take_wish(self, envelope: bytes) -> None:
        """Verify the wish, take it if it is newer, and go through the update."""
        key = public_key_from_dict(self.credentials.director_key)
        desired = decode(verify_payload(envelope, DESIRED_PAYLOAD_TYPE, {"director": key}), Desired, "the wish")
        if desired.revision <= self.revision:
            return
        self.busy = True
        self.revision, self.desired = desired.revision, desired
        model = desired.slots[DEFAULT_SLOT].model
        if model is not None and (self.slot.current is None or self.slot.current.digest != model.manifest.sha256):
            await self._update(model, desired.revision)
        await self.report()
        self.busy = False

    async def _update(self, model: DesiredModel, revision: int) -> None:
        outcome = self.behaviour(model)
        before, previous = self.slot, None
        paired: PairedResult | None = None
        for state in self._path(outcome):
            reason = outcome.reason if state is outcome.state else None
            paired = self.paired if previous is UpdateState.SHADOWING else paired
            fields = {"target": model.ref, "revision": revision, "rollout": model.rollout, "arm": model.arm, "reason": reason}
            fields |= {"paired": paired, "detail": describe_pairs(paired) if paired is not None else ""}
            await self.send_event("update", update=UpdateEvent(slot=DEFAULT_SLOT, state=state, previous=previous, **fields))
            running = model.ref if state in _TO_PROBATION or state is UpdateState.DONE else before.current
            good = model.ref if state is UpdateState.DONE else before.last_known_good
            self.slot = ReportedSlot(running, good, "onnx-float32", UpdateReport(state=state, **fields))
            previous = state

    def _path(self, outcome: Outcome) -> tuple[UpdateState, ...]:
        if outcome.state is None:
            return _TO_SELF_TEST[:3]
        if outcome.state is UpdateState.FAILED:
            return (*_TO_SELF_TEST, UpdateState.FAILED)
        ending = UpdateState.COMMITTING if outcome.state is UpdateState.DONE else UpdateState.ROLLING_BACK
        in_shadow = (UpdateState.SHADOWING,) if self.desired and self.desired.policy.shadow_s else ()
        return (*_TO_SELF_TEST, *in_shadow, *_TO_PROBATION, ending, outcome.state)

    @property
    def settled(self) -> bool:
        """Whether no update is under way."""
        return not self.busy and (self.slot.update is None or self.slot.update.state in FINAL_UPDATE_STATES)

    async def report(self) -> None:
        """Publish the whole reported state."""
        slots = {DEFAULT_SLOT: self.slot}
        device = self.credentials.device
        reported = Reported(1, device, self.boot_id, utc_now(), AGENT_VERSION, self.hardware_class, self.revision, slots)
        await self.send(Channel.REPORTED, reported)

    async def send_event(self, kind: str, *, text: str = "", update: UpdateEvent | None = None) -> None:
        """Queue an event and try to send it."""
        self.sequence += 1
        event = Event(1, self.stream, self.sequence, self.boot_id, utc_now(), kind, update, text)
        await self._queue(Channel.EVENT, encode(event))

    async def send_window(self, *, count: int = 50, latency_ms: float = 1.0, errors: int = 0, drift: Drift | None = None) -> None:
        """Queue a window of the version that runs."""
        if self.slot.current is None:
            raise ValueError("nothing runs on this device")
        self.sequence += 1
        model = self.desired.slots[DEFAULT_SLOT].model if self.desired else None
        mine = model is not None and model.ref == self.slot.current
        window = Window(
            schema_version=1,
            stream=self.stream,
            sequence=self.sequence,
            boot_id=self.boot_id,
            index=self.windows,
            slot=DEFAULT_SLOT,
            target=self.slot.current,
            variant="onnx-float32",
            started_at=utc_now(),
            duration_s=1.0,
            count=count,
            latency_us=Histogram.of(LATENCY_BOUNDS_US, [latency_ms * 1000 * (0.9 + 0.2 * i / max(1, count)) for i in range(count)]),
            confidence=Histogram.of(CONFIDENCE_BOUNDS, [0.9] * count),
            class_counts={"a": count // 2, "b": count - count // 2},
            errors=errors,
            rollout=model.rollout if mine and model else "",
            arm=model.arm if mine and model else "",
            drift=drift,
        )
        self.windows += 1
        await self._queue(Channel.WINDOW, encode(window))

    async def send_health(self, state: HealthState = HealthState.HEALTHY) -> bool:
        """Publish health; False without a connection."""
        health = Health(1, self.boot_id, utc_now(), state, (), 12.5, 4 << 30, 2 << 30, 80 << 20, 10 << 30, 3600.0, AGENT_VERSION)
        return await self.send(Channel.HEALTH, health)

    async def _queue(self, channel: Channel, payload: bytes) -> None:
        self.outbox[self.sequence] = (channel, payload)
        await self._publish(channel, payload)

    async def send(self, channel: Channel, message: object) -> bool:
        """Publish a message that is not kept in the outbox; False without a connection."""
        return await self._publish(channel, encode(message))

    async def _publish(self, channel: Channel, payload: bytes) -> bool:
        """False where there is no connection (any more): what matters is in the outbox."""
        if self.client is None:
            return False
        try:
            await self.client.publish(self._topic(channel), payload, qos=qos_of(channel), retain=channel in RETAINED)
        except aiomqtt.MqttError:
            return False
        return True

    def _topic(self, channel: Channel) -> str:
        return build_topic(self.credentials.fleet, self.credentials.device, channel)
