"""The audit trail: who did what, to what, when; written in the transaction that does it."""

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from contract.codec import encode
from contract.rest import AuditEntry
from fleet_server.store.schema import audit
from fleet_server.times import to_text

OPERATOR = "operator"
SERVER = "server"


def record(connection: Connection, *, at: float, actor: str, action: str, subject: str, **detail: Any) -> None:  # noqa: ANN401
    """Add one entry."""
    connection.execute(insert(audit).values(at=at, actor=actor, action=action, subject=subject, detail=encode(detail).decode()))


def list_entries(connection: Connection, limit: int) -> list[AuditEntry]:
    """The newest entries, newest first."""
    rows = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit))
    return [
        AuditEntry(row.id, to_text(row.at), row.actor, row.action, row.subject, msgspec.json.decode(row.detail, type=dict[str, Any]))
        for row in rows
    ]
