"""What follows when a device has seen more than this database knows: the server was put back from an older copy."""

import logging

from sqlalchemy import Connection, select, update

from contract.states import RolloutState
from fleet_server.audit import SERVER, record
from fleet_server.conductor.moves import Conduct, move
from fleet_server.devices.desired import issue_above
from fleet_server.rollouts.lifecycle import Trigger
from fleet_server.store import schema
from fleet_server.store.database import get_fact, set_fact

_LOG = logging.getLogger(__name__)
REASON = "the server was restored from an older copy: look at what runs where, then resume"
STARTED_AT = "started_at"
NOTICED_AT = "restored_at"


def rise_above(connection: Connection, conduct: Conduct, device: str, seen: int) -> None:
    """If a device has seen a desired revision above this database's, repeat its wish above that and pause what runs.

    A device takes rising revisions only, so anything that this database wished would be ignored for ever.
    """
    columns = schema.devices.c
    known = connection.scalar(select(columns.desired_revision).where(columns.device == device)) or 0
    if seen <= known:
        return
    _LOG.warning("%s has seen the desired revision %s, this database knows %s: it is repeated above", device, seen, known)
    revision = issue_above(connection, conduct.director, device, seen, conduct.now)
    _renumber(connection, device, known, revision)
    record(connection, at=conduct.now, actor=SERVER, action="repeat-desired", subject=device, seen=seen, known=known)
    if _is_first(connection):
        set_fact(connection, NOTICED_AT, str(conduct.now))
        _pause_all(connection, conduct)


def _renumber(connection: Connection, device: str, known: int, revision: int) -> None:
    """The assignment whose wish is repeated goes on under the new revision."""
    columns = schema.assignments.c
    for column in (columns.revision, columns.rollback_revision):
        mine = (columns.device == device) & (column == known) & (column > 0)
        connection.execute(update(schema.assignments).where(mine).values({column.name: revision}))


def _is_first(connection: Connection) -> bool:
    """Once per start: what an operator begins or resumes after the notice is meant so, also when a late device comes back."""
    started, noticed = get_fact(connection, STARTED_AT), get_fact(connection, NOTICED_AT)
    return noticed is None or float(started or 0) > float(noticed)


def _pause_all(connection: Connection, conduct: Conduct) -> None:
    columns = schema.rollouts.c
    for rollout in connection.scalars(select(columns.rollout).where(columns.state == RolloutState.RUNNING.value)).all():
        move(connection, conduct, rollout, Trigger.PAUSE, REASON)


def list_running(connection: Connection) -> list[str]:
    """Rollouts that run now; right after a start they wait until the devices that were online have said what they have seen."""
    columns = schema.rollouts.c
    return list(connection.scalars(select(columns.rollout).where(columns.state == RolloutState.RUNNING.value)))


def list_online(connection: Connection) -> list[str]:
    """Devices that are online as far as this database knows."""
    columns = schema.presence.c
    return list(connection.scalars(select(columns.device).where(columns.presence == "online")))


def has_heard(connection: Connection, devices: frozenset[str], since: float) -> bool:
    """Whether each of these devices has sent something since a moment."""
    columns = schema.presence.c
    heard = connection.scalars(select(columns.device).where(columns.last_seen_at >= since))
    return devices <= set(heard)
