"""Read what devices reported of their shadow runs."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from contract.messages import DEFAULT_SLOT
from contract.pairs import Disagreement, PairedBlock, PairedResult
from contract.rest import PairedView
from fleet_server.conductor.reading import read_spec
from fleet_server.rollouts.shadow_pairs import summarize
from fleet_server.store import schema


class _Paired(msgspec.Struct):
    """A `PairedResult` without its sketches, which nobody needs here."""

    pairs: int = 0
    disagreements: int = 0
    disagreed: tuple[Disagreement, ...] = ()
    errors: int = 0
    dropped: int = 0
    blocks: tuple[PairedBlock, ...] = ()
    skipped: str = ""


class _Update(msgspec.Struct):
    revision: int
    paired: _Paired | None = None


class _Slot(msgspec.Struct):
    update: _Update | None = None


class _Reported(msgspec.Struct):
    slots: dict[str, _Slot]


_DECODER = msgspec.json.Decoder(_Reported)


def view_pairs(connection: Connection, row: Row[Any]) -> PairedView | None:
    """What the devices of a rollout say together, as far as their last update is still the rollout's; None without shadow runs."""
    if not read_spec(row).policy.shadow_s:
        return None
    assignments, reported = schema.assignments, schema.reported
    query = select(assignments.c.revision, reported.c.body).join(reported, reported.c.device == assignments.c.device)
    query = query.where(assignments.c.rollout == row.rollout, assignments.c.revision > 0)
    found = [_pairs_of(body, revision) for revision, body in connection.execute(query)]
    return summarize([paired for paired in found if paired is not None])


def _pairs_of(body: str, revision: int) -> PairedResult | None:
    slot = _DECODER.decode(body).slots.get(DEFAULT_SLOT)
    update = slot.update if slot is not None else None
    if update is None or update.revision != revision or update.paired is None:
        return None
    return PairedResult(**msgspec.structs.asdict(update.paired))
