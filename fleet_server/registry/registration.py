"""Check the files that a verified role names, and register what they are: versions, acceptance sets, policies, applications."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from contract.acceptance import AcceptanceSet
from contract.application import Application
from contract.codec import DOCUMENT_MAX_BYTES, decode, encode
from contract.manifest import MANIFEST_MAX_BYTES, FileEntry, Manifest
from contract.package import read_manifest
from contract.trust import APPLICATION_ROLE_PREFIX, MODEL_ROLE_PREFIX, ModelPolicy
from fleet_server.errors import ConflictError, RefusedError
from fleet_server.store import schema
from fleet_server.store.artifacts import ArtifactStore

_MODEL_PATH = re.compile(r"models/([a-z0-9-]+)/(?:(\d{1,10})|(acceptance|policy))\.json")
_APPLICATION_PATH = re.compile(r"applications/([a-z0-9-]+)/(\d{1,10})\.json")


class Registration(NamedTuple):
    """Where a publication is being registered."""

    connection: Connection
    artifacts: ArtifactStore
    now: float

    def read(self, path: str, entry: FileEntry, max_bytes: int) -> bytes:
        """The bytes of a target, complete and checked.

        Raises:
            RefusedError: it was not uploaded, or has another length.
        """
        self.require(path, entry)
        return self.artifacts.read(entry.sha256, max_bytes)

    def require(self, name: str, entry: FileEntry) -> None:
        """Refuse unless the file is here with the right length (its name here is its digest)."""
        problem = self.artifacts.lacks(entry)
        if problem:
            raise RefusedError(f"{name}: {problem}", "Upload all files first, then publish the role.")


def register_targets(registration: Registration, role: str, targets: Mapping[str, FileEntry]) -> None:
    """Check and register every target of one role; what the role lists no longer is withdrawn.

    Raises:
        RefusedError, ConflictError, ContractError: a file is absent, broken, misnamed, or changes a version that exists.
    """
    model = role.removeprefix(MODEL_ROLE_PREFIX) if role.startswith(MODEL_ROLE_PREFIX) else ""
    if model:
        connection = registration.connection
        connection.execute(upsert(schema.models).values(model=model, registered_at=registration.now).on_conflict_do_nothing())
    before = _targets_before(registration.connection, role)
    for path, entry in targets.items():
        if before.get(path) != entry:
            _register(registration, path, entry)
    _withdraw_missing(registration.connection, role, targets)
    _replace_targets(registration.connection, role, targets)


def _targets_before(connection: Connection, role: str) -> dict[str, FileEntry]:
    rows = connection.execute(select(schema.tuf_targets).where(schema.tuf_targets.c.role == role))
    return {row.path: FileEntry(row.sha256, row.size_bytes) for row in rows}


def _register(registration: Registration, path: str, entry: FileEntry) -> None:
    if match := _MODEL_PATH.fullmatch(path):
        model, version, document = match.groups()
        if version:
            _register_version(registration, path, entry, (model, int(version)))
        else:
            _DOCUMENTS[document](registration, path, entry, model)
    elif match := _APPLICATION_PATH.fullmatch(path):
        _register_application(registration, path, entry, (match[1], int(match[2])))
    else:
        raise RefusedError(f"{path[:120]!r} is not a target that this server knows", "See contract/trust.py for the paths.")


def _register_version(registration: Registration, path: str, entry: FileEntry, wanted: tuple[str, int]) -> None:
    manifest = read_manifest(registration.read(path, entry, MANIFEST_MAX_BYTES))
    if (manifest.name, manifest.version) != wanted:
        raise RefusedError(f"{path} holds the manifest of {manifest.name} version {manifest.version}")
    for name, file in manifest.files.items():
        registration.require(f"{path} names {name}", file)
    versions = schema.versions
    key = (versions.c.model == manifest.name) & (versions.c.version == manifest.version)
    digest = registration.connection.scalar(select(versions.c.digest).where(key))
    if digest is not None and digest != entry.sha256:
        raise ConflictError(
            f"{manifest.name} version {manifest.version} exists with other content", "A number is used once; publish the next version."
        )
    if digest is not None:
        registration.connection.execute(update(versions).where(key).values(withdrawn=False))
        return
    registration.connection.execute(insert(versions).values(_version_row(manifest, entry, registration.now)))


def _version_row(manifest: Manifest, entry: FileEntry, now: float) -> dict[str, object]:
    scores = {name: variant.evaluation.score if variant.evaluation else 0.0 for name, variant in manifest.variants.items()}
    return {
        "model": manifest.name,
        "version": manifest.version,
        "digest": entry.sha256,
        "manifest_bytes": entry.size_bytes,
        "published_at": now,
        "task": manifest.task,
        "size_bytes": sum(file.size_bytes for file in manifest.files.values()),
        "variants": encode(scores).decode(),
        "lineage": encode(manifest.lineage).decode(),
    }


def _register_acceptance(registration: Registration, path: str, entry: FileEntry, model: str) -> None:
    acceptance = decode(registration.read(path, entry, DOCUMENT_MAX_BYTES), AcceptanceSet, path)
    if acceptance.model != model:
        raise RefusedError(f"{path} holds the acceptance set of {acceptance.model}")
    registration.require(f"{path} names its samples", acceptance.samples)
    values = {"acceptance": encode(acceptance).decode()}
    registration.connection.execute(update(schema.models).where(schema.models.c.model == model).values(values))


def _register_policy(registration: Registration, path: str, entry: FileEntry, model: str) -> None:
    policy = decode(registration.read(path, entry, DOCUMENT_MAX_BYTES), ModelPolicy, path)
    if policy.model != model:
        raise RefusedError(f"{path} holds the policy of {policy.model}")
    last = registration.connection.scalar(select(schema.models.c.min_version).where(schema.models.c.model == model))
    if policy.min_version < (last or 1):
        raise RefusedError(f"{path} lowers min_version from {last} to {policy.min_version}; devices remember the higher one")
    values = {"min_version": policy.min_version}
    registration.connection.execute(update(schema.models).where(schema.models.c.model == model).values(values))


_DOCUMENTS: dict[str, Callable[[Registration, str, FileEntry, str], None]] = {
    "acceptance": _register_acceptance,
    "policy": _register_policy,
}


def _register_application(registration: Registration, path: str, entry: FileEntry, wanted: tuple[str, int]) -> None:
    application = decode(registration.read(path, entry, DOCUMENT_MAX_BYTES), Application, path)
    if (application.name, application.version) != wanted:
        raise RefusedError(f"{path} holds {application.name} version {application.version}")
    applications = schema.applications
    key = (applications.c.application == application.name) & (applications.c.version == application.version)
    digest = registration.connection.scalar(select(applications.c.sha256).where(key))
    if digest is not None and digest != entry.sha256:
        raise ConflictError(f"{application.name} version {application.version} exists with other content", "Publish the next version.")
    row = {
        "application": application.name,
        "version": application.version,
        "model": application.model,
        "sha256": entry.sha256,
        "size_bytes": entry.size_bytes,
        "published_at": registration.now,
        "withdrawn": False,
    }
    statement = upsert(applications).values(row)
    registration.connection.execute(statement.on_conflict_do_update(index_elements=["application", "version"], set_={"withdrawn": False}))


def _withdraw_missing(connection: Connection, role: str, targets: Mapping[str, FileEntry]) -> None:
    kept = [int(match[2]) for path in targets if (match := _MODEL_PATH.fullmatch(path)) and match[2]]
    kept += [int(match[2]) for path in targets if (match := _APPLICATION_PATH.fullmatch(path))]
    if role.startswith(MODEL_ROLE_PREFIX):
        table, owner = schema.versions, schema.versions.c.model == role.removeprefix(MODEL_ROLE_PREFIX)
    else:
        table, owner = schema.applications, schema.applications.c.application == role.removeprefix(APPLICATION_ROLE_PREFIX)
    connection.execute(update(table).where(owner, table.c.version.not_in(kept)).values(withdrawn=True))


def _replace_targets(connection: Connection, role: str, targets: Mapping[str, FileEntry]) -> None:
    connection.execute(delete(schema.tuf_targets).where(schema.tuf_targets.c.role == role))
    rows = [{"path": path, "role": role, "sha256": entry.sha256, "size_bytes": entry.size_bytes} for path, entry in targets.items()]
    if rows:
        connection.execute(insert(schema.tuf_targets), rows)
