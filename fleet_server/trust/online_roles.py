"""Build and sign snapshot and timestamp with the online key, and tell when they need renewal."""

import datetime
from collections.abc import Mapping
from typing import NamedTuple

from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from contract.signing import PrivateKey

SNAPSHOT_DAYS = 60
TIMESTAMP_DAYS = 14
"""Offline sites need a long expiry; both are renewed at half of it."""


class Signed(NamedTuple):
    """A signed role file with its version."""

    version: int
    body: bytes


def sign_snapshot(versions: Mapping[str, int], version: int, key: PrivateKey, now: datetime.datetime) -> Signed:
    """Snapshot of the versions of `targets` and all delegated roles (a role once listed stays listed)."""
    meta = {f"{role}.json": MetaFile(number) for role, number in versions.items()}
    snapshot = Snapshot(version=version, expires=now + datetime.timedelta(days=SNAPSHOT_DAYS), meta=meta)
    return Signed(version, _sign(Metadata(snapshot), key))


def sign_timestamp(snapshot_version: int, version: int, key: PrivateKey, now: datetime.datetime) -> Signed:
    """Timestamp over a snapshot's version; made last, so that a device sees the old set or the new one."""
    timestamp = Timestamp(version=version, expires=now + datetime.timedelta(days=TIMESTAMP_DAYS), snapshot_meta=MetaFile(snapshot_version))
    return Signed(version, _sign(Metadata(timestamp), key))


def _sign(metadata: Metadata[Snapshot] | Metadata[Timestamp], key: PrivateKey) -> bytes:
    metadata.sign(key.signer)
    return metadata.to_bytes()


def needs_renewal(body: bytes, days: int, now: datetime.datetime) -> bool:
    """Whether less than half of the role's life is left."""
    expires: datetime.datetime = Metadata[Timestamp].from_bytes(body).signed.expires
    return expires - now < datetime.timedelta(days=days / 2)


def listed_versions(snapshot: bytes) -> dict[str, int]:
    """Versions that a snapshot lists, by role."""
    meta = Metadata[Snapshot].from_bytes(snapshot).signed.meta
    return {name.removesuffix(".json"): file.version for name, file in meta.items()}
