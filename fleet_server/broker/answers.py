"""What a connected client may ask for, and the packet that answers it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import mqtt5

from fleet_server.broker.messages import message_of
from fleet_server.broker.routing import Router
from fleet_server.broker.session import Session, Subscription
from fleet_server.broker.subscriptions import SHARED_PREFIX, is_valid_filter

_GRANTED = (mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE, mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE)


class PublishAnswer(NamedTuple):
    """PUBACK (empty at QoS 0) and whether the client was not allowed to publish there."""

    data: bytes
    refused: bool


def answer_publish(packet: Any, session: Session, router: Router) -> PublishAnswer:  # noqa: ANN401
    """Publish if the client may; at QoS 1 say what came of it."""
    code, refused = mqtt5.PubAckReasonCode.SUCCESS, False
    if not session.identity.may_publish(packet.topic):
        code, refused = mqtt5.PubAckReasonCode.NOT_AUTHORIZED, True
    elif len(packet.payload) > router.limits.payload_bytes or not router.publish(message_of(packet, session.key, router.clock())):
        code = mqtt5.PubAckReasonCode.QUOTA_EXCEEDED
    data = b"" if packet.packet_id is None else mqtt5.PubAckPacket(packet.packet_id, reason_code=code).write()
    return PublishAnswer(data, refused)


def answer_subscribe(packet: Any, session: Session, router: Router) -> tuple[bytes, list[Callable[[], None]]]:  # noqa: ANN401
    """SUBACK, and what sends the retained messages after it."""
    codes, afterwards = [], []
    for entry in packet.topic_filters:
        refusal = _refusal(entry, session, router)
        if refusal is not None:
            codes.append(refusal)
            continue
        qos = min(int(entry.max_qos), 1)
        subscription = Subscription(qos, entry.no_local, entry.retain_as_published)
        afterwards.append(router.subscribe(session, entry.pattern, subscription, int(entry.retain_handling)))
        codes.append(_GRANTED[qos])
    return mqtt5.SubAckPacket(packet.packet_id, codes).write(), afterwards


def _refusal(entry: Any, session: Session, router: Router) -> Any:  # noqa: ANN401
    if entry.pattern.startswith(SHARED_PREFIX):
        return mqtt5.SubAckReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if not is_valid_filter(entry.pattern):
        return mqtt5.SubAckReasonCode.TOPIC_FILTER_INVALID
    if not session.identity.may_read(entry.pattern):
        return mqtt5.SubAckReasonCode.NOT_AUTHORIZED
    if entry.pattern not in session.subscriptions and len(session.subscriptions) >= router.limits.subscriptions_per_session:
        return mqtt5.SubAckReasonCode.QUOTA_EXCEEDED
    return None


def answer_unsubscribe(packet: Any, session: Session, router: Router) -> bytes:  # noqa: ANN401
    """UNSUBACK."""
    success, absent = mqtt5.UnsubAckReasonCode.SUCCESS, mqtt5.UnsubAckReasonCode.NO_SUBSCRIPTION_EXISTED
    codes = [success if router.unsubscribe(session, pattern) else absent for pattern in packet.patterns]
    data: bytes = mqtt5.UnsubAckPacket(packet.packet_id, codes).write()
    return data
