"""The studio's TUF role files as values: made, changed and signed without touching a disk.

Root is 2 of 3 and names the online key of snapshot and timestamp; `targets` only delegates, once
per registered model and application; a delegated role lists the targets of its own. Each change
makes a new version with a new expiry. Specification: https://theupdateframework.github.io/specification/
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from contract.signing import PrivateKey, PublicKey
from contract.trust import ROOT_THRESHOLD, role_paths

S = TypeVar("S", Root, Targets, Snapshot, Timestamp)
ROOT = Root.type
TARGETS = Targets.type
SNAPSHOT = Snapshot.type
TIMESTAMP = Timestamp.type
LIFE_DAYS = {ROOT: 365, TARGETS: 365, SNAPSHOT: 365, TIMESTAMP: 365}
"""Snapshot and timestamp here are those of a folder without a server, which nobody renews in between."""
DELEGATED_LIFE_DAYS = 180
WARN_DAYS = 60


class RoleFile(NamedTuple):
    """A signed role file."""

    role: str
    version: int
    body: bytes
    expires: datetime.datetime


def life_of(role: str) -> datetime.timedelta:
    """How long a new version of a role is valid."""
    return datetime.timedelta(days=LIFE_DAYS.get(role, DELEGATED_LIFE_DAYS))


def new_root(version: int, root_keys: Iterable[PublicKey], targets_key: PublicKey, online: PublicKey, now: datetime.datetime) -> Root:
    """A root document, to be signed by two of the three root keys; `online` signs snapshot and timestamp."""
    root = Root(version=version, expires=now + life_of(ROOT), consistent_snapshot=True)
    for key in root_keys:
        root.add_key(key, ROOT)
    root.roles[ROOT].threshold = ROOT_THRESHOLD
    root.add_key(targets_key, TARGETS)
    root.add_key(online, SNAPSHOT)
    root.add_key(online, TIMESTAMP)
    return root


def read_targets(body: bytes) -> Targets:
    """The signed part of a targets or delegated role file of this studio."""
    return Metadata[Targets].from_bytes(body).signed


def read_root(body: bytes) -> Root:
    """The signed part of a root file of this studio."""
    return Metadata[Root].from_bytes(body).signed


def sign_role(role: str, signed: S, keys: Iterable[PrivateKey]) -> RoleFile:
    """Sign with every key."""
    metadata = Metadata(signed)
    for key in keys:
        metadata.sign(key.signer, append=True)
    return RoleFile(role, signed.version, metadata.to_bytes(), signed.expires)


def new_targets(version: int, delegated: Mapping[str, PublicKey], now: datetime.datetime) -> Targets:
    """The targets role: one terminating delegation per model or application, to its one key, for its own paths."""
    roles = {name: DelegatedRole(name, [key.keyid], 1, terminating=True, paths=role_paths(name)) for name, key in delegated.items()}
    delegations = Delegations(keys={key.keyid: key for key in delegated.values()}, roles=roles)
    return Targets(version=version, expires=now + life_of(TARGETS), delegations=delegations)


def delegated_keys(targets: Targets) -> dict[str, PublicKey]:
    """The key of each delegated role."""
    delegations = targets.delegations
    if delegations is None or delegations.roles is None:
        return {}
    return {name: delegations.keys[role.keyids[0]] for name, role in delegations.roles.items()}


def new_delegated(role: str, version: int, targets: Mapping[str, TargetFile], now: datetime.datetime) -> Targets:
    """The role of one model or application with exactly these targets."""
    return Targets(version=version, expires=now + life_of(role), targets=dict(sorted(targets.items())))


def new_snapshot(version: int, versions: Mapping[str, int], now: datetime.datetime) -> Snapshot:
    """Which version of targets and of every delegated role is in force."""
    meta = {f"{role}.json": MetaFile(number) for role, number in sorted(versions.items())}
    return Snapshot(version=version, expires=now + life_of(SNAPSHOT), meta=meta)


def new_timestamp(version: int, snapshot_version: int, now: datetime.datetime) -> Timestamp:
    """Which snapshot is in force."""
    return Timestamp(version=version, expires=now + life_of(TIMESTAMP), snapshot_meta=MetaFile(snapshot_version))
