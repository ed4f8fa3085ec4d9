"""The rules of CONNECT and CONNACK: who is let in, and with what promises."""

import secrets
from dataclasses import dataclass
from typing import Any, NamedTuple

import mqtt5
from mqtt5 import ConnAckReasonCode as Code

from fleet_server.broker.access import Identity
from fleet_server.broker.limits import Limits

RECEIVE_MAX = 1024


class Refusal(NamedTuple):
    """Why a client is not let in."""

    code: Any
    text: str


@dataclass(frozen=True)
class Greeting:
    """CONNACK and what it promised."""

    packet: bytes
    keep_alive_s: int
    session_expiry_s: int


def check_connect(packet: Any, identity: Identity | None, limits: Limits) -> Refusal | None:  # noqa: ANN401
    """None lets the client in; authentication comes first, before anything of a session is touched."""
    if packet.authentication_method is not None:
        return Refusal(Code.BAD_AUTHENTICATION_METHOD, "it asks for another authentication than name and password")
    if identity is None:
        return Refusal(Code.BAD_USER_NAME_OR_PASSWORD, "its name or password is wrong, or it was revoked")
    return _check_will(packet.will, identity, limits) if packet.will is not None else None


def _check_will(will: Any, identity: Identity, limits: Limits) -> Refusal | None:  # noqa: ANN401
    if int(will.qos) > 1:
        return Refusal(Code.QUALITY_NOT_SUPPORTED, "its last will has QoS 2, at most 1 is offered")
    if not identity.may_publish(will.topic):
        return Refusal(Code.NOT_AUTHORIZED, f"its last will goes to {will.topic[:200]!r}, where it may not publish")
    if len(will.payload or b"") > limits.payload_bytes:
        return Refusal(Code.PACKET_TOO_LARGE, "its last will is too large")
    return None


def identify(packet: Any) -> tuple[str, str | None]:  # noqa: ANN401
    """The client id to use, and the same again where the listener chose it."""
    if packet.client_id:
        return packet.client_id, None
    chosen = secrets.token_hex(12)
    return chosen, chosen


def greet(packet: Any, limits: Limits, assigned: str | None, *, session_present: bool) -> Greeting:  # noqa: ANN401
    """Build CONNACK; keep-alive and session expiry are cut to what the listener allows."""
    keep_alive = min(packet.keep_alive or limits.keep_alive_s, limits.keep_alive_s)
    expiry = min(packet.session_expiry_interval, limits.session_expiry_s)
    answer = mqtt5.ConnAckPacket(
        session_present=session_present,
        session_expiry_interval=expiry if expiry != packet.session_expiry_interval else None,
        assigned_client_id=assigned,
        server_keep_alive=keep_alive if keep_alive != packet.keep_alive else None,
        receive_max=RECEIVE_MAX,
        max_qos=mqtt5.QoS.AT_LEAST_ONCE,
        max_packet_size=limits.packet_bytes,
        subscription_id_available=False,
        shared_subscription_available=False,
    )
    return Greeting(answer.write(), keep_alive, expiry)
