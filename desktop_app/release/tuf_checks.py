"""Whether a set of TUF role files holds together, as a client would see it; pure."""

import datetime
from collections.abc import Mapping, Sequence

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from desktop_app.errors import ReleaseError
from desktop_app.release.tuf_roles import ROOT, TARGETS, WARN_DAYS, delegated_keys, read_targets

RENEW_ADVICE = "Renew them with: eyelet-studio keys renew"
_ADVICE = "Restore a backup with: eyelet-studio keys restore FILE"


def verify_roles(roots: Sequence[bytes], bodies: Mapping[str, bytes], now: datetime.datetime) -> None:
    """Check the chain of roots, then signatures, delegations and expiries of the newest files.

    `roots` are all versions from the first on; `bodies` the newest file of each role.

    Raises:
        ReleaseError: something does not hold; the message names it.
    """
    try:
        root = _verify_roots(roots)
        targets = Metadata[Targets].from_bytes(bodies[TARGETS])
        root.verify_delegate(TARGETS, targets.signed_bytes, targets.signatures)
        for role in delegated_keys(targets.signed):
            delegated = Metadata[Targets].from_bytes(bodies[role])
            targets.signed.verify_delegate(role, delegated.signed_bytes, delegated.signatures)
    except KeyError as error:
        raise ReleaseError(f"the TUF repository lacks the role {error}", _ADVICE) from error
    except (RepositoryError, DeserializationError, ValueError) as error:
        raise ReleaseError(f"the TUF repository does not hold together: {error}", _ADVICE) from error
    expired = [role for role, expires in expiries(bodies).items() if expires <= now]
    if expired:
        raise ReleaseError(
            f"these roles have expired: {', '.join(expired)}", f"{RENEW_ADVICE} (publishing renews all but root, which needs two root keys)"
        )


def _verify_roots(roots: Sequence[bytes]) -> Root:
    before: Root | None = None
    for body in roots:
        root = Metadata[Root].from_bytes(body)
        for judge in (before, root.signed):
            if judge is not None:
                judge.verify_delegate(ROOT, root.signed_bytes, root.signatures)
        before = root.signed
    if before is None:
        raise ReleaseError("the TUF repository has no root of trust", _ADVICE)
    return before


def expiries(bodies: Mapping[str, bytes]) -> dict[str, datetime.datetime]:
    """When each role that is in force ends; roles that nobody delegates to any more are left out."""
    in_force = {ROOT, TARGETS, *(delegated_keys(read_targets(bodies[TARGETS])) if TARGETS in bodies else ())}
    return {role: Metadata[Targets].from_bytes(body).signed.expires for role, body in bodies.items() if role in in_force}


def due_roles(bodies: Mapping[str, bytes], now: datetime.datetime) -> list[str]:
    """Roles that end within 60 days."""
    return sorted(role for role, expires in expiries(bodies).items() if expires - now <= datetime.timedelta(days=WARN_DAYS))


def expiry_warnings(bodies: Mapping[str, bytes], now: datetime.datetime) -> list[str]:
    """A sentence for every role that ends within 60 days."""
    ends = expiries(bodies)
    days = {role: (ends[role] - now).days for role in due_roles(bodies, now)}
    advice = {ROOT: f". {RENEW_ADVICE.replace('them', 'it')}"}  # the others are renewed by the next publication
    return [
        (f"{role} expires in {left} days" if left >= 0 else f"{role} has expired") + advice.get(role, "") for role, left in days.items()
    ]
