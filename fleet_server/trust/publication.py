"""Take a publication in: verify everything, then store role files, registry entries, snapshot and timestamp in one transaction."""

import base64
import binascii
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from contract.errors import FormatError
from contract.manifest import FileEntry
from contract.signing import PrivateKey
from contract.trust import next_online_version
from fleet_server.audit import OPERATOR, SERVER, record
from fleet_server.registry.registration import Registration, register_targets
from fleet_server.store import schema
from fleet_server.store.artifacts import ArtifactStore
from fleet_server.times import to_datetime
from fleet_server.trust.online_roles import (
    SNAPSHOT_DAYS,
    TIMESTAMP_DAYS,
    listed_versions,
    needs_renewal,
    sign_snapshot,
    sign_timestamp,
)
from fleet_server.trust.role_checks import ROOT, Checked, Published, check_publication, may_sign, parse_role

_LOG = logging.getLogger(__name__)
SNAPSHOT = "snapshot"
TIMESTAMP = "timestamp"
VERSION_MAX_DIGITS = 18  # what SQLite's integers hold
_ONLINE = (SNAPSHOT, TIMESTAMP)


class Press(NamedTuple):
    """What a publication needs: the artifacts it names and the key that signs snapshot and timestamp."""

    artifacts: ArtifactStore
    online: PrivateKey


def decode_roles(roles: Mapping[str, str]) -> dict[str, bytes]:
    """Role files from base64.

    Raises:
        FormatError: one is not base64.
    """
    return {name: _decode(name, text) for name, text in roles.items()}


def decode_roots(roots: Sequence[str]) -> tuple[bytes, ...]:
    """Roots between the one in force and the newest, from base64.

    Raises:
        FormatError: one is not base64.
    """
    return tuple(_decode(ROOT, text) for text in roots)


def _decode(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"the role file {name[:80]} is not base64") from error


def publish(connection: Connection, press: Press, roles: Mapping[str, bytes], roots: Sequence[bytes], now: float) -> dict[str, int]:
    """Verify and store a publication; returns the versions now in force. `roots` lie between the root in force and the new one.

    Raises:
        FleetError, ContractError: nothing was stored; the message says what is wrong.
    """
    published = read_published(connection)
    checked = check_publication(published, roles, press.online.public, to_datetime(now), roots)
    for role in checked.new:
        registration = Registration(connection, press.artifacts, now)
        if role in checked.delegated:
            register_targets(registration, role, _targets_of(checked.delegated[role]))
    _forget_dropped(connection, checked)
    for version, body in checked.between.items():
        _store(connection, ROOT, version, body, now)
    for role, body in checked.new.items():
        _store(connection, role, checked.versions()[role], body, now)
    versions = _sign_online(connection, press.online, checked, now)
    record(connection, at=now, actor=OPERATOR, action="publish", subject=", ".join(sorted(checked.new)) or "nothing new", versions=versions)
    return versions


def _targets_of(metadata: Metadata[Targets]) -> dict[str, FileEntry]:
    return {path: _entry(path, target) for path, target in metadata.signed.targets.items()}


def _entry(path: str, target: TargetFile) -> FileEntry:
    sha256 = target.hashes.get("sha256")
    if sha256 is None:
        raise FormatError(f"the target {path[:120]} has no SHA-256")
    return FileEntry(sha256, target.length)


def _forget_dropped(connection: Connection, checked: Checked) -> None:
    known = set(checked.delegated)
    roles = set(connection.scalars(select(schema.tuf_targets.c.role).distinct()))
    for role in roles - known:
        connection.execute(delete(schema.tuf_targets).where(schema.tuf_targets.c.role == role))


def _store(connection: Connection, role: str, version: int, body: bytes, now: float) -> None:
    connection.execute(insert(schema.tuf_metadata).values(role=role, version=version, body=body, stored_at=now))


def _sign_online(connection: Connection, key: PrivateKey, checked: Checked, now: float) -> dict[str, int]:
    versions = {role: version for role, version in checked.versions().items() if role != ROOT}
    if checked.targets is None:
        return checked.versions()
    bodies = _newest(connection)
    before = listed_versions(bodies[SNAPSHOT]) if SNAPSHOT in bodies else {}
    wanted = {**before, **versions}
    if wanted != before or ROOT in checked.new:
        _renew(connection, key, wanted, now)
    return {**checked.versions(), **{role: version for role, version in _last_versions(connection).items() if role in _ONLINE}}


def _renew(connection: Connection, key: PrivateKey, versions: Mapping[str, int], now: float) -> None:
    last = _last_versions(connection)
    moment = to_datetime(now)
    snapshot = sign_snapshot(versions, next_online_version(last.get(SNAPSHOT, 0), now), key, moment)
    _store(connection, SNAPSHOT, snapshot.version, snapshot.body, now)
    timestamp = sign_timestamp(snapshot.version, next_online_version(last.get(TIMESTAMP, 0), now), key, moment)
    _store(connection, TIMESTAMP, timestamp.version, timestamp.body, now)


def renew_online_roles(connection: Connection, key: PrivateKey, now: float) -> list[str]:
    """Sign timestamp, and snapshot where due, again before they expire; returns which were renewed."""
    bodies = _newest(connection)
    if SNAPSHOT not in bodies:
        return []
    moment = to_datetime(now)
    if not may_sign(parse_role(ROOT, bodies[ROOT], Root).signed, TIMESTAMP, key.public):
        _LOG.warning("The root does not name this server's online key, so nothing is signed until: eyelet-studio keys renew --online-key")
        return []
    if needs_renewal(bodies[SNAPSHOT], SNAPSHOT_DAYS, moment):
        _renew(connection, key, listed_versions(bodies[SNAPSHOT]), now)
        renewed = [SNAPSHOT, TIMESTAMP]
    elif needs_renewal(bodies[TIMESTAMP], TIMESTAMP_DAYS, moment):
        last = _last_versions(connection)
        timestamp = sign_timestamp(last[SNAPSHOT], next_online_version(last[TIMESTAMP], now), key, moment)
        _store(connection, TIMESTAMP, timestamp.version, timestamp.body, now)
        renewed = [TIMESTAMP]
    else:
        return []
    record(connection, at=now, actor=SERVER, action="renew", subject=", ".join(renewed))
    return renewed


def read_published(connection: Connection) -> Published:
    """The role files in force that people signed."""
    return Published({role: body for role, body in _newest(connection).items() if role not in _ONLINE})


def _newest(connection: Connection) -> dict[str, bytes]:
    columns = schema.tuf_metadata.c
    newest = select(columns.role, func.max(columns.version).label("version")).group_by(columns.role).subquery()
    query = select(columns.role, columns.body).join(newest, (columns.role == newest.c.role) & (columns.version == newest.c.version))
    return {row.role: row.body for row in connection.execute(query)}


def _last_versions(connection: Connection) -> dict[str, int]:
    columns = schema.tuf_metadata.c
    rows: Any = connection.execute(select(columns.role, func.max(columns.version)).group_by(columns.role))
    return {role: version for role, version in rows}  # noqa: C416  (rows are no plain pairs to mypy)


def find_metadata(connection: Connection, file: str) -> bytes | None:
    """The bytes of `timestamp.json` or of `<version>.<role>.json`; None where absent."""
    name = file.removesuffix(".json")
    columns = schema.tuf_metadata.c
    query = select(columns.body).order_by(columns.version.desc()).limit(1)
    if name == TIMESTAMP:
        return connection.scalar(query.where(columns.role == TIMESTAMP))
    version, _, role = name.partition(".")
    if not version.isascii() or not version.isdigit() or len(version) > VERSION_MAX_DIGITS:
        return None
    return connection.scalar(query.where(columns.role == role, columns.version == int(version)))


def find_root(connection: Connection) -> bytes | None:
    """The bytes of `1.root.json`, from which every device starts; None before the first publication."""
    return find_metadata(connection, f"1.{ROOT}.json")


def find_target(connection: Connection, path: str) -> str | None:
    """SHA-256 of a target asked for as TUF does, `<folder>/<sha256>.<name>`; None unless it is in force."""
    folder, _, name = path.rpartition("/")
    sha256, _, rest = name.partition(".")
    target = f"{folder}/{rest}" if folder else rest
    columns = schema.tuf_targets.c
    return connection.scalar(select(columns.sha256).where(columns.path == target, columns.sha256 == sha256))
