"""What the agent must not forget between two starts: small numbers that only rise."""

import logging
import time
from pathlib import Path

import msgspec

from edge_agent.home import load_document, save_document
from edge_agent.update.disk import REAL_DISK, Disk

log = logging.getLogger(__name__)


class Patched(msgspec.Struct, frozen=True, omit_defaults=True):
    """What patches did since this device was set up."""

    files: int = 0
    saved_bytes: int = 0
    failed: int = 0


class Remembered(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of `state/memory.json`."""

    session: int = 0
    revision_seen: int = 0
    min_versions: dict[str, int] = {}
    acceptance: dict[str, tuple[str, ...]] = {}  # per model: digests of its acceptance set, kept from garbage
    minimum_scores: dict[str, float] = {}  # per model: what its acceptance set demands, signed by its owner
    patched: Patched = Patched()


class Memory:
    """`Remembered`, written through on each change. One writer.

    A full or broken disk keeps no agent from starting and serving: what could not be written holds
    for this process, and goes to the disk with the next change.
    """

    def __init__(self, path: Path, disk: Disk = REAL_DISK) -> None:
        self._path = path
        self._disk = disk
        self._value = load_document(path, Remembered, disk) or Remembered()

    @property
    def revision_seen(self) -> int:
        """Highest revision of a desired document that was accepted."""
        return self._value.revision_seen

    @property
    def kept_digests(self) -> set[str]:
        """Objects that no version links to and that are kept all the same."""
        return {digest for digests in self._value.acceptance.values() for digest in digests}

    def acceptance_of(self, model: str) -> tuple[str, ...]:
        """Digests of a model's acceptance set; empty where none is kept."""
        return self._value.acceptance.get(model, ())

    def minimum_score_of(self, model: str) -> float:
        """The share of a model's acceptance set that a version must answer rightly; 0 where none is known."""
        return self._value.minimum_scores.get(model, 0.0)

    def next_session(self) -> int:
        """A number greater than those of all sessions before, even after the file was lost (by the clock)."""
        session = max(self._value.session + 1, int(time.time()))
        self._change(session=session)
        return session

    def see_revision(self, revision: int) -> None:
        """Remember a revision; it never falls."""
        if revision > self._value.revision_seen:
            self._change(revision_seen=revision)

    def raise_min_version(self, model: str, stated: int) -> int:
        """The least version of a model that may be activated: the highest that its owner ever stated.

        Raises:
            OSError: it could not be written, so the update that told it must not go on.
        """
        known = self._value.min_versions.get(model, 1)
        if stated > known:
            self._value = msgspec.structs.replace(self._value, min_versions={**self._value.min_versions, model: stated})
            self._save()
        return max(known, stated)

    def keep_acceptance(self, model: str, digests: tuple[str, ...], minimum_score: float) -> None:
        """Keep a model's acceptance set and what it demands between updates."""
        known = self._value
        if (known.acceptance.get(model), known.minimum_scores.get(model)) != (digests, minimum_score):
            scores = {**known.minimum_scores, model: minimum_score}
            self._change(acceptance={**known.acceptance, model: digests}, minimum_scores=scores)

    def count_patches(self, files: int, saved_bytes: int, failed: int) -> None:
        """Add to what patches did."""
        was = self._value.patched
        self._change(patched=Patched(was.files + files, was.saved_bytes + saved_bytes, was.failed + failed))

    def _change(self, **fields: object) -> None:
        self._value = msgspec.structs.replace(self._value, **fields)
        try:
            self._save()
        except OSError as error:
            log.warning("%s could not be written: %s", self._path.name, error)

    def _save(self) -> None:
        save_document(self._path, self._value, self._disk)
