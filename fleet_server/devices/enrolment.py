"""Claims and enrolment: a device shows a one-time secret and leaves its public key and its password's digest."""

import hashlib
import hmac
from collections import deque

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from contract.codec import encode
from contract.names import check_id
from contract.rest import ClaimRequest, EnrollRequest
from contract.signing import public_key_from_dict
from fleet_server.audit import OPERATOR, record
from fleet_server.broker.passwords import hash_password
from fleet_server.errors import ConflictError, NotAllowedError, NotFoundError, RefusedError, TooManyError
from fleet_server.store import schema
from fleet_server.store.database import Change, mark
from fleet_server.times import Clock, from_text

CLAIM_MAX_S = 90 * 86400.0
FAILURES_PER_MINUTE = 10
_REFUSED = "the claim is not valid: unknown, used, expired, or its secret is wrong"
_ADVICE = "Make a new claim token in the studio; each is good for one enrolment."


def add_claim(connection: Connection, request: ClaimRequest, now: float) -> None:
    """Register a claim.

    Raises:
        RefusedError: its expiry is past or too far.
        ConflictError: a claim of this id exists.
    """
    check_id(request.claim_id, "claim_id")
    expires_at = from_text(request.expires_at)
    if not now < expires_at <= now + CLAIM_MAX_S:
        raise RefusedError(f"expires_at {request.expires_at} is not within the next 90 days", "Check the clocks of both machines.")
    statement = insert(schema.claims).values(
        claim_id=request.claim_id,
        secret_sha256=request.secret_sha256,
        device=request.device,
        hardware_class=request.hardware_class,
        created_at=now,
        expires_at=expires_at,
    )
    if connection.execute(statement.on_conflict_do_nothing()).rowcount == 0:
        raise ConflictError(f"the claim {request.claim_id} exists already", "Make a claim with a new id.")
    record(connection, at=now, actor=OPERATOR, action="claim", subject=request.device, claim_id=request.claim_id)


def enroll(connection: Connection, request: EnrollRequest, now: float) -> str:
    """Use a claim and register the device; returns the device's id.

    A device that is enrolled again keeps its desired state and gets new credentials.

    Raises:
        NotAllowedError: the claim is not valid; the reasons are not told apart.
        FormatError: the public key is none.
    """
    public_key_from_dict(request.public_key)
    claim = connection.execute(select(schema.claims).where(schema.claims.c.claim_id == request.claim_id)).one_or_none()
    digest = hashlib.sha256(request.secret.encode()).hexdigest()
    expected = claim.secret_sha256 if claim is not None else "0" * 64
    same = hmac.compare_digest(digest, expected)
    if claim is None or not same or claim.used_at is not None or claim.expires_at < now:
        raise NotAllowedError(_REFUSED, _ADVICE)
    connection.execute(update(schema.claims).where(schema.claims.c.claim_id == claim.claim_id).values(used_at=now))
    _store_device(connection, claim.device, request, claim.hardware_class or request.hardware_class, now)
    record(connection, at=now, actor=f"device:{claim.device}", action="enroll", subject=claim.device, claim_id=claim.claim_id)
    mark(connection, Change.CREDENTIALS)
    return str(claim.device)


def _store_device(connection: Connection, device: str, request: EnrollRequest, hardware_class: str, now: float) -> None:
    fields = {
        "hardware_class": hardware_class[:80],
        "public_key": encode(request.public_key).decode(),
        "verifier": hash_password(request.password),
        "enrolled_at": now,
        "revoked": False,
        "agent_version": request.agent_version[:40],
    }
    statement = insert(schema.devices).values(device=device, **fields)
    connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_=fields))
    statement = insert(schema.presence).values(device=device, presence="offline")
    connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_={"session": 0, "presence": "offline"}))


def revoke(connection: Connection, device: str, now: float) -> None:
    """Take a device's credentials away.

    Raises:
        NotFoundError: there is no such device.
    """
    statement = update(schema.devices).where(schema.devices.c.device == device).values(revoked=True)
    if connection.execute(statement).rowcount == 0:
        raise NotFoundError(f"there is no device {device[:80]!r}")
    record(connection, at=now, actor=OPERATOR, action="revoke", subject=device)
    mark(connection, Change.CREDENTIALS)


class AttemptLimit:
    """At most `FAILURES_PER_MINUTE` failed attempts per minute for one subject."""

    def __init__(self, clock: Clock, subjects: int = 10_000) -> None:
        self._clock = clock
        self._subjects = subjects
        self._failures: dict[str, deque[float]] = {}

    def check(self, subject: str) -> None:
        """Refuse another attempt where too many failed.

        Raises:
            TooManyError: too many failures within the last minute.
        """
        failures = self._failures.get(subject)
        while failures and failures[0] < self._clock() - 60:
            failures.popleft()
        if failures and len(failures) >= FAILURES_PER_MINUTE:
            raise TooManyError("too many failed attempts", "Wait a minute.")

    def fail(self, subject: str) -> None:
        """Count a failed attempt."""
        if subject not in self._failures and len(self._failures) >= self._subjects:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(subject, deque()).append(self._clock())
