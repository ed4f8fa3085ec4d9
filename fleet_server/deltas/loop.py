"""Make patches in the background, one at a time, and drop those that nobody needs any more."""

import asyncio
import contextlib
import logging
import sys
from collections import Counter
from functools import partial
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from contract.errors import ContractError
from contract.files import read_bounded
from contract.manifest import MANIFEST_MAX_BYTES, Manifest
from contract.package import read_manifest
from fleet_server.deltas.derived import DerivedFiles
from fleet_server.deltas.making import MakeAnswer, MakeRequest, temporary_path
from fleet_server.deltas.pairs import Pair, plan_pairs
from fleet_server.errors import FleetError
from fleet_server.store import schema
from fleet_server.store.artifacts import ArtifactStore
from fleet_server.store.database import Database

EVERY_S = 30.0
MAKE_TIMEOUT_S = 900.0
VERSIONS_MAX = 8
_UNDER_WAY = ("ready", "running", "paused", "rolling_back")

_LOG = logging.getLogger(__name__)


class _RunningModel(msgspec.Struct):
    digest: str


class _RunningSlot(msgspec.Struct):
    current: _RunningModel | None = None


class _Running(msgspec.Struct):
    """What of a reported state tells which versions devices have."""

    slots: dict[str, _RunningSlot] = {}


class Published(NamedTuple):
    """The newest versions of one model: number and digest; how many devices run a digest; digests that are wished for."""

    versions: tuple[tuple[int, str], ...]
    running: Counter[str]
    wished: frozenset[str]


async def run_patch_making(database: Database, artifacts: ArtifactStore) -> None:
    """Look every now and then for patches that are missing, until cancelled."""
    derived = DerivedFiles(artifacts)
    while True:
        try:
            await make_missing(database, artifacts, derived)
        except (OSError, ContractError, FleetError) as error:
            _LOG.warning("Patches could not be made: %s", error)
        await asyncio.sleep(EVERY_S)


async def make_missing(database: Database, artifacts: ArtifactStore, derived: DerivedFiles) -> int:
    """Make every patch that is wanted and was not tried; returns how many were tried."""
    published = await database.read_async(read_published)
    pairs = await asyncio.to_thread(partial(_plan, published, artifacts))
    await asyncio.to_thread(derived.keep_only, {pair.target.sha256 for pair in pairs})
    missing = [pair for pair in pairs if pair.base_sha256 not in derived.index_of(pair.target.sha256).tried]
    for number, pair in enumerate(missing):
        if not await asyncio.to_thread(derived.has_room):
            _LOG.info("No room for more patches; %s are not made", len(missing) - number)
            return number
        await _make(pair, artifacts, derived)
    return len(missing)


def read_published(connection: Connection) -> list[Published]:
    """Per registered model: what is published, what runs, what is wished for."""
    running: Counter[str] = Counter()
    for body in connection.scalars(select(schema.reported.c.body)):
        with contextlib.suppress(msgspec.DecodeError):
            slots = msgspec.json.decode(body, type=_Running).slots.values()
            running.update(slot.current.digest for slot in slots if slot.current is not None)
    under_way = select(schema.rollouts.c.rollout).where(schema.rollouts.c.state.in_(_UNDER_WAY))
    query = select(schema.assignments.c.wanted_digest).where(schema.assignments.c.rollout.in_(under_way)).distinct()
    wished = frozenset(connection.scalars(query))
    found = []
    for model in connection.scalars(select(schema.models.c.model)):
        columns = schema.versions.c
        rows = select(columns.version, columns.digest).where(columns.model == model, columns.withdrawn.is_(False))
        newest = connection.execute(rows.order_by(columns.version.desc()).limit(VERSIONS_MAX))
        found.append(Published(tuple((row.version, row.digest) for row in newest), running, wished))
    return found


def _plan(published: list[Published], artifacts: ArtifactStore) -> list[Pair]:
    pairs: dict[Pair, None] = {}
    for model in published:
        manifests = {version: manifest for version, digest in model.versions if (manifest := _manifest(artifacts, digest)) is not None}
        running = {version: model.running[digest] for version, digest in model.versions}
        wished = [version for version, digest in model.versions if digest in model.wished]
        pairs |= dict.fromkeys(plan_pairs(manifests, running, wished))
    return [pair for pair in pairs if _are_here(pair, artifacts)]


def _manifest(artifacts: ArtifactStore, digest: str) -> Manifest | None:
    with contextlib.suppress(OSError, ContractError):
        return read_manifest(read_bounded(artifacts.path_of(digest), MANIFEST_MAX_BYTES))
    return None


def _are_here(pair: Pair, artifacts: ArtifactStore) -> bool:
    return all(artifacts.size_of(entry.sha256) == entry.size_bytes for entry in pair if entry is not None)


async def _make(pair: Pair, artifacts: ArtifactStore, derived: DerivedFiles) -> None:
    """In a child; one that fails is noted as tried, so that it is not repeated for ever."""
    target, folder = pair.target.sha256, derived.scratch(pair.target.sha256)
    base = str(artifacts.path_of(pair.base.sha256)) if pair.base else ""
    request = MakeRequest(pair.base_sha256, base, str(artifacts.path_of(target)), str(folder))
    answer = await _ask_child(request)
    derived.add(target, pair.base_sha256, [(patch, temporary_path(folder, patch)) for patch in answer.patches])
    for patch in answer.patches:
        share = patch.size_bytes / pair.target.size_bytes
        _LOG.info("A patch (%s) to %s… has %d bytes, %.1f %% of the whole", patch.kind, target[:16], patch.size_bytes, 100 * share)


async def _ask_child(request: MakeRequest) -> MakeAnswer:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleet_server.deltas.making"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(child.communicate(msgspec.json.encode(request)), MAKE_TIMEOUT_S)
        return msgspec.json.decode(output, type=MakeAnswer)
    except asyncio.TimeoutError:
        _LOG.warning("A patch was not made within %g s", MAKE_TIMEOUT_S)
    except msgspec.DecodeError:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        _LOG.warning("A patch could not be made: %s", last[0][:300])
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return MakeAnswer()
