"""One client's connection: bytes in, packets handled, bytes out, and an end with a reason."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import mqtt5
from mqtt5 import DisconnectReasonCode as Reason

from fleet_server.broker.access import Authenticator, Identity
from fleet_server.broker.answers import answer_publish, answer_subscribe, answer_unsubscribe
from fleet_server.broker.frames import (
    OLD_VERSION_REFUSAL,
    FrameReader,
    OldVersionError,
    PacketError,
    check_packet,
    parse_connect,
    parse_frame,
)
from fleet_server.broker.handshake import Greeting, Refusal, check_connect, greet, identify
from fleet_server.broker.limits import FailureGate, Limits
from fleet_server.broker.messages import Message, message_of
from fleet_server.broker.routing import Router
from fleet_server.broker.session import Session

logger = logging.getLogger(__name__)
KEEP_ALIVE_FACTOR = 1.5
CLOSING_S = 5.0
PING_RESPONSE = mqtt5.PingRespPacket().write()


@dataclass
class Floor:
    """What all connections of one listener share."""

    router: Router
    authenticator: Authenticator
    limits: Limits
    clock: Callable[[], float]
    gate: FailureGate
    connections: "set[Connection]" = field(default_factory=set)


class Connection(asyncio.Protocol):
    """Connects, speaks, ends; `deadline` is when the listener's sweep ends it for silence."""

    def __init__(self, floor: Floor) -> None:
        self.session: Session | None = None
        self.max_packet_bytes = 1 << 28
        self.deadline = floor.clock() + floor.limits.connect_timeout_s
        self.refusals = 0
        self._floor = floor
        self._reader = FrameReader(floor.limits.connect_bytes)
        self._transport: asyncio.Transport
        self._outgoing: list[bytes] = []
        self._unsent = 0
        self._keep_alive_s = 0.0
        self._will: tuple[Message, int] | None = None
        self._closing = False
        self._greeting: asyncio.Future[None] | None = None
        self.address = "?"

    # ------------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, unless its address is shut out or the listener is full."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else "local"
        floor = self._floor
        floor.connections.add(self)
        if not floor.gate.is_open(self.address, floor.clock()) or len(floor.connections) > floor.limits.connections:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Handle every whole packet."""
        if self._closing:
            return
        self._reader.feed(data)
        self._handle_frames()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is gone: a will that was not cleared is published."""
        self._closing = True
        self._floor.connections.discard(self)
        if self._greeting is not None:
            self._greeting.cancel()
        self._leave()

    def _handle_frames(self) -> None:
        try:
            while not self._closing and self._greeting is None:
                if self.session is None:
                    self._reader.check_greeting()
                frame = self._reader.next_frame()
                if frame is None:
                    return
                if self.session is None:
                    self._connect(frame)
                else:
                    self._handle(frame, self.session)
        except PacketError as error:
            self._break_off(error)
        except Exception:  # (a fault of this program must cost one connection, not the listener)
            logger.exception("A packet from %s could not be handled", self.address)
            self.end(Reason.IMPLEMENTATION_SPECIFIC_ERROR)

    def _break_off(self, error: PacketError) -> None:
        if self.session is None:
            self._floor.gate.note(self.address, self._floor.clock())
            logger.info("A connection from %s was closed before it was made: %s", self.address, error)
            self._close()
        else:
            logger.warning("%s sent %s; the connection is closed", self.session.key[0], error)
            self.end(error.reason)

    # ------------------------------------------------------------------ the greeting

    def _connect(self, frame: bytes) -> None:
        try:
            packet = parse_connect(frame)
        except OldVersionError:
            logger.warning("A client from %s speaks MQTT 3; this broker speaks MQTT 5 only", self.address)
            self._write(OLD_VERSION_REFUSAL)
            self._close()
            return
        verdict = self._floor.authenticator.authenticate(packet.username or "", packet.password or b"")
        if inspect.isawaitable(verdict):
            self._transport.pause_reading()
            self._greeting = asyncio.ensure_future(self._wait_for(packet, verdict))
        else:
            self._admit(packet, verdict)

    async def _wait_for(self, packet: Any, verdict: Any) -> None:  # noqa: ANN401
        identity = None
        try:
            identity = await verdict
        except Exception:  # (who can not be checked is not let in)
            logger.exception("A client from %s could not be authenticated", self.address)
        self._greeting = None
        if self._closing:
            return
        self._transport.resume_reading()
        self._admit(packet, identity)
        self._handle_frames()

    def _admit(self, packet: Any, identity: Identity | None) -> None:  # noqa: ANN401
        limits, router = self._floor.limits, self._floor.router
        refusal = check_connect(packet, identity, limits)
        if refusal is None and identity is not None:
            client_id, assigned = identify(packet)
            opened = router.open_session(identity, client_id, clean=packet.clean_start)
            if opened is not None:
                self._begin(packet, opened[0], greet(packet, limits, assigned, session_present=opened[1]))
                return
            refusal = Refusal(mqtt5.ConnAckReasonCode.QUOTA_EXCEEDED, f"{identity.name} has too many sessions")
        self._refuse(packet, refusal)

    def _refuse(self, packet: Any, refusal: Refusal | None) -> None:  # noqa: ANN401
        if refusal is not None:
            logger.warning("A client from %s (%r) was refused: %s", self.address, (packet.username or "")[:80], refusal.text)
            self._write(mqtt5.ConnAckPacket(reason_code=refusal.code).write())
        self._close()

    def _begin(self, packet: Any, session: Session, greeting: Greeting) -> None:  # noqa: ANN401
        self.session = session
        session.expiry_s = greeting.session_expiry_s
        self.max_packet_bytes = packet.max_packet_size or self.max_packet_bytes
        self._reader.max_bytes = self._floor.limits.packet_bytes
        self._keep_alive_s = greeting.keep_alive_s
        if packet.will is not None:
            self._will = (message_of(packet.will, session.key, self._floor.clock()), packet.will.will_delay_interval)
        self._postpone()
        self._write(greeting.packet)
        session.attach(self, packet.receive_max)
        session.resume(self._floor.clock())

    # ------------------------------------------------------------------ packets

    def _handle(self, frame: bytes, session: Session) -> None:
        self._postpone()
        packet = parse_frame(frame)
        check_packet(packet)
        router = self._floor.router
        if isinstance(packet, mqtt5.PublishPacket):
            answer = answer_publish(packet, session, router)
            if answer.refused:
                self._count_refusal(session, packet.topic)
            self._write(answer.data)
        elif isinstance(packet, mqtt5.PubAckPacket):
            session.acknowledge(packet.packet_id, self._floor.clock())
        elif isinstance(packet, mqtt5.PingReqPacket):
            self._write(PING_RESPONSE)
        elif isinstance(packet, mqtt5.SubscribePacket):
            data, afterwards = answer_subscribe(packet, session, router)
            self._write(data)
            for send_retained in afterwards:
                send_retained()
        elif isinstance(packet, mqtt5.UnsubscribePacket):
            self._write(answer_unsubscribe(packet, session, router))
        else:
            self._disconnect(packet, session)

    def _disconnect(self, packet: Any, session: Session) -> None:  # noqa: ANN401
        wanted = packet.session_expiry_interval
        if wanted and not session.expiry_s:
            raise PacketError("a session expiry at its end that it did not have before", Reason.PROTOCOL_ERROR)
        if wanted is not None:
            session.expiry_s = min(wanted, self._floor.limits.session_expiry_s)
        if packet.reason_code == Reason.NORMAL_DISCONNECTION:
            self._will = None
        self._leave()
        self._close()

    def _count_refusal(self, session: Session, topic: str) -> None:
        self.refusals += 1
        level = logging.WARNING if self.refusals == 1 else logging.DEBUG
        logger.log(level, "%s may not publish to %.200r", session.key[0], topic)

    def _postpone(self) -> None:
        self.deadline = self._floor.clock() + self._keep_alive_s * KEEP_ALIVE_FACTOR

    # ------------------------------------------------------------------ output and end

    def send(self, data: bytes) -> None:
        """Write one packet; a client that does not read is cut off, its session waits."""
        self._write(data)
        if not self._closing and self._unsent + self._transport.get_write_buffer_size() > self._floor.limits.unsent_bytes:
            logger.warning("%s reads too slowly and is cut off", self.session.key[0] if self.session else self.address)
            self._outgoing.clear()
            self.abort()

    def _write(self, data: bytes) -> None:
        if self._closing or not data:
            return
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(data)
        self._unsent += len(data)

    def _flush(self) -> None:
        if self._outgoing and not self._transport.is_closing():
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()
        self._unsent = 0

    def take_over(self) -> None:
        """Another connection of the same client has come."""
        self.end(Reason.SESSION_TAKEN_OVER)

    def end(self, reason: Any) -> None:  # noqa: ANN401
        """Tell the client why and close; its will is published."""
        if self.session is not None:
            self._write(mqtt5.DisconnectPacket(reason_code=reason).write())
        self._leave()
        self._close()

    def expire(self) -> None:
        """The deadline is over: the client is silent, or did not close when told to."""
        if self._closing:
            self._transport.abort()
        elif self.session is None:
            logger.info("A connection from %s sent no CONNECT in time", self.address)
            self._close()
        else:
            logger.info("%s was silent for longer than its keep-alive", self.session.key[0])
            self.end(Reason.KEEP_ALIVE_TIMEOUT)

    def _leave(self) -> None:
        session = self.session
        if session is not None and session.link is self:
            will, self._will = self._will, None
            message, delay = will or (None, 0)
            self._floor.router.close_link(session, message, delay)

    def close_for_shutdown(self) -> None:
        """The server goes: no will, since the device is not the one that went."""
        self._will = None
        self.end(Reason.SERVER_SHUTTING_DOWN)

    def abort(self) -> None:
        """Close at once, whatever was not sent."""
        self._closing = True
        self._transport.abort()

    def _close(self) -> None:
        self._flush()
        self._closing = True
        self.deadline = self._floor.clock() + CLOSING_S
        self._transport.close()
