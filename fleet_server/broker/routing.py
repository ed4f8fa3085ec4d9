"""Who gets a message: sessions, their subscriptions, retained messages and wills, without any socket."""

import collections
import logging
from collections.abc import Callable
from typing import Any

from fleet_server.broker.access import Identity
from fleet_server.broker.limits import Limits
from fleet_server.broker.messages import Message, RetainedStore, SessionKey
from fleet_server.broker.session import Session, Subscription
from fleet_server.broker.subscriptions import FilterTree

logger = logging.getLogger(__name__)


class Router:
    """All sessions of one listener; `clock` gives seconds that never go back."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self.clock = clock
        self.sessions: dict[SessionKey, Session] = {}
        self.retained = RetainedStore(limits.retained_messages, limits.retained_bytes)
        self._tree: FilterTree[SessionKey, Subscription] = FilterTree()
        self._per_name: collections.Counter[str] = collections.Counter()

    def publish(self, message: Message) -> bool:
        """Retain if asked, then hand to every subscriber once, at the highest QoS it has; False where the store is full."""
        kept = self.retained.keep(message) if message.retain else True
        best: dict[SessionKey, Subscription] = {}
        for key, subscription in self._tree.find(message.topic):
            if subscription.no_local and key == message.sender:
                continue
            if key not in best or subscription.qos > best[key].qos:
                best[key] = subscription
        for key, subscription in best.items():
            self._deliver(key, message, subscription)
        return kept

    def _deliver(self, key: SessionKey, message: Message, subscription: Subscription) -> None:
        retain = message.retain and subscription.retain_as_published
        try:
            self.sessions[key].deliver(message, min(message.qos, subscription.qos), self.clock(), retain=retain)
        except Exception:  # (one subscriber's trouble must never close the publisher)
            logger.exception("A message on %s could not be handed to %s", message.topic, key[0])

    def open_session(self, identity: Identity, client_id: str, *, clean: bool) -> tuple[Session, bool] | None:
        """The session of an authenticated client, and whether it existed; None where the name has too many.

        Sessions belong to the name: one client can never take over another one's by its client id.
        """
        key = (identity.name, client_id)
        session = self.sessions.get(key)
        if session is not None and session.link is not None:
            session.link.take_over()
            session = self.sessions.get(key)  # it ended with its client where it was not to outlive it
        if session is not None and clean:
            self.end_session(session)
            session = None
        if session is not None:
            session.identity = identity
            return session, True
        if self._per_name[identity.name] >= self.limits.sessions_per_name:
            return None
        self._per_name[identity.name] += 1
        session = self.sessions[key] = Session(key, identity, self.limits)
        return session, False

    def close_link(self, session: Session, will: Message | None, delay_s: int) -> None:
        """A client went: publish its will (now or after its delay) and end the session or let it wait."""
        now = self.clock()
        session.link = None
        if will is not None and delay_s and session.expiry_s:
            session.will = (now + min(delay_s, session.expiry_s), will)
        elif will is not None:
            self.publish(will)
        session.ends_at = now + session.expiry_s
        if not session.expiry_s:
            self.end_session(session)

    def end_session(self, session: Session) -> None:
        """Forget a session; a will that still waits for its delay is published."""
        for topic_filter in session.subscriptions:
            self._tree.remove(topic_filter, session.key)
        if self.sessions.pop(session.key, None) is not None:
            self._per_name[session.key[0]] -= 1
        if session.will is not None:
            waiting, session.will = session.will[1], None
            self.publish(waiting)

    def subscribe(self, session: Session, topic_filter: str, subscription: Subscription, retain_handling: int) -> Callable[[], None]:
        """Add or replace a subscription; the returned function sends the retained messages, to be called after SUBACK."""
        known = topic_filter in session.subscriptions
        session.subscriptions[topic_filter] = subscription
        self._tree.add(topic_filter, session.key, subscription)
        wanted = retain_handling == 0 or (retain_handling == 1 and not known)
        return lambda: self._send_retained(session, topic_filter, subscription) if wanted else None

    def _send_retained(self, session: Session, topic_filter: str, subscription: Subscription) -> None:
        now = self.clock()
        for message in self.retained.find(topic_filter, now):
            session.deliver(message, min(message.qos, subscription.qos), now, retain=True)

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """Take a subscription away; False where there was none."""
        if session.subscriptions.pop(topic_filter, None) is None:
            return False
        self._tree.remove(topic_filter, session.key)
        return True

    def sweep(self) -> None:
        """Publish wills whose delay is over, end sessions that expired, forget expired retained messages."""
        now = self.clock()
        for session in list(self.sessions.values()):
            if session.will is not None and session.will[0] <= now:
                will, session.will = session.will[1], None
                self.publish(will)
            if session.ends_at is not None and session.ends_at <= now:
                self.end_session(session)
        self.retained.sweep(now)

    def counts(self) -> dict[str, Any]:
        """Figures for health pages."""
        online = sum(session.link is not None for session in self.sessions.values())
        return {"sessions": len(self.sessions), "online": online, "retained": len(self.retained)}
