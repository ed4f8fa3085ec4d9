"""Look up and show registered models, versions, aliases and applications."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.sqlite import insert

from contract.acceptance import AcceptanceSet
from contract.manifest import FileEntry
from contract.messages import DesiredApplication, DesiredModel
from contract.names import check_id
from contract.rest import ModelView, VersionView
from fleet_server.audit import OPERATOR, record
from fleet_server.errors import NotFoundError, RefusedError
from fleet_server.store import schema
from fleet_server.times import to_text


def get_version(connection: Connection, model: str, version: int) -> DesiredModel:
    """A version as a wish for it names it.

    Raises:
        NotFoundError: it was never published.
        RefusedError: it was withdrawn, or lies below the model's `min_version`.
    """
    columns = schema.versions.c
    row = connection.execute(select(schema.versions).where(columns.model == model, columns.version == version)).one_or_none()
    if row is None:
        raise NotFoundError(f"{model[:80]} version {version} is not registered", "`eyelet-fleet models` lists what is.")
    minimum = connection.scalar(select(schema.models.c.min_version).where(schema.models.c.model == model))
    if row.withdrawn or version < (minimum or 1):
        raise RefusedError(f"{model} version {version} is withdrawn (min_version {minimum}); devices refuse it")
    return DesiredModel(model, version, FileEntry(row.digest, row.manifest_bytes))


def find_version_by_digest(connection: Connection, digest: str) -> DesiredModel | None:
    """The version with this manifest digest that may still run; None where there is none."""
    row = connection.execute(select(schema.versions).where(schema.versions.c.digest == digest).limit(1)).one_or_none()
    if row is None or row.withdrawn:
        return None
    minimum = connection.scalar(select(schema.models.c.min_version).where(schema.models.c.model == row.model)) or 1
    return DesiredModel(row.model, row.version, FileEntry(row.digest, row.manifest_bytes)) if row.version >= minimum else None


def get_application(connection: Connection, name: str, version: int, model: str) -> DesiredApplication:
    """An application's version for `model` (0: the newest).

    Raises:
        NotFoundError: there is none.
        RefusedError: it belongs to another model, or was withdrawn.
    """
    columns = schema.applications.c
    query = select(schema.applications).where(columns.application == name).order_by(columns.version.desc()).limit(1)
    query = query.where(columns.version == version) if version else query.where(columns.withdrawn.is_(False))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(
            f"the application {name[:80]} version {version or '(newest)'} is not registered", "Publish it from the studio first."
        )
    if row.withdrawn or row.model != model:
        raise RefusedError(f"the application {name} version {row.version} is withdrawn or made for {row.model}, expected {model}")
    return DesiredApplication(row.application, row.version, FileEntry(row.sha256, row.size_bytes))


def list_models(connection: Connection) -> list[ModelView]:
    """All registered models."""
    return [_view(connection, row) for row in connection.execute(select(schema.models).order_by(schema.models.c.model))]


def get_model(connection: Connection, model: str) -> ModelView:
    """One registered model.

    Raises:
        NotFoundError: there is none.
    """
    row = connection.execute(select(schema.models).where(schema.models.c.model == model)).one_or_none()
    if row is None:
        raise NotFoundError(f"the model {model[:80]!r} is not registered")
    return _view(connection, row)


def _view(connection: Connection, row: Row[Any]) -> ModelView:
    aliases = {
        found.alias: found.version for found in connection.execute(select(schema.aliases).where(schema.aliases.c.model == row.model))
    }
    columns = schema.versions.c
    query = select(schema.versions).where(columns.model == row.model, columns.withdrawn.is_(False)).order_by(columns.version)
    versions = tuple(_version_view(found, aliases) for found in connection.execute(query))
    acceptance = msgspec.json.decode(row.acceptance, type=AcceptanceSet) if row.acceptance else None
    return ModelView(row.model, versions, aliases, row.min_version, acceptance.minimum_score if acceptance else None)


def _version_view(row: Row[Any], aliases: dict[str, int]) -> VersionView:
    return VersionView(
        model=row.model,
        version=row.version,
        digest=row.digest,
        published_at=to_text(row.published_at),
        task=row.task,
        size_bytes=row.size_bytes,
        variants=msgspec.json.decode(row.variants, type=dict[str, float]),
        lineage=msgspec.json.decode(row.lineage, type=dict[str, Any]),
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == row.version)),
    )


def set_alias(connection: Connection, model: str, alias: str, version: int, now: float) -> ModelView:
    """Point an alias at a version.

    Raises:
        NotFoundError, RefusedError: there is no such version, or it is withdrawn.
        InvalidNameError: the alias is no id.
    """
    check_id(alias, "alias")
    get_version(connection, model, version)
    statement = insert(schema.aliases).values(model=model, alias=alias, version=version)
    connection.execute(statement.on_conflict_do_update(index_elements=["model", "alias"], set_={"version": version}))
    record(connection, at=now, actor=OPERATOR, action="alias", subject=model, alias=alias, version=version)
    return get_model(connection, model)
