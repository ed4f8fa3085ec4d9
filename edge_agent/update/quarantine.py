"""The digests that must not be activated again: in memory, and in `quarantine.json`.

What could not be written holds for this process all the same, and is tried again with the next
step of any update; until it is written no new update begins, so that a cut can not forget it. A file
that can not be read just now is no empty one: no update begins before it can, and nothing takes its place.
"""

import logging
from pathlib import Path

from edge_agent.home import load_readable, save_document
from edge_agent.update.disk import Disk
from edge_agent.update.records import Quarantined

QUARANTINE_FILE = "quarantine.json"
LOST_AFTER = 20
"""A running agent asks every few seconds: what can not be read for minutes is lost, and must not stand in the way of updates."""

log = logging.getLogger(__name__)


class Quarantine:
    """The quarantine of one agent."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / QUARANTINE_FILE
        self._disk = disk
        self._written: dict[str, Quarantined] | None = None  # None: not read yet
        self._failures = 0
        self._changes: dict[str, Quarantined | None] = {}  # not written yet; None: released

    @property
    def entries(self) -> dict[str, Quarantined]:
        """Why each digest is quarantined, as far as it is known; a copy."""
        try:
            written = self._read()
        except OSError as error:
            log.warning("The quarantine can not be read now: %s", error)
            written = {}
        return self._changed(written)

    def replace(self, entries: dict[str, Quarantined]) -> None:
        """Take these entries and write them.

        Raises:
            OSError: they could not be written.
        """
        before = self.entries
        self._changes |= {digest: entry for digest, entry in entries.items() if before.get(digest) != entry}
        self._changes |= {digest: None for digest in before if digest not in entries}
        self.save()

    def save(self) -> None:
        """Write what could not be written before; raises as `replace`, and where what is written can not be read."""
        written = self._read()
        if self._changes:
            changed = self._changed(written)
            save_document(self._path, changed, self._disk)
            self._written, self._changes = changed, {}

    def _read(self) -> dict[str, Quarantined]:
        """What the file says; raises OSError while it can not be read."""
        if self._written is None:
            try:
                self._written = load_readable(self._path, dict[str, Quarantined], self._disk) or {}
            except OSError:
                self._failures += 1
                if self._failures < LOST_AFTER:
                    raise
                log.exception("%s could not be read %d times and is given up", self._path.name, self._failures)
                self._written = {}
        return self._written

    def _changed(self, written: dict[str, Quarantined]) -> dict[str, Quarantined]:
        return {digest: entry for digest, entry in {**written, **self._changes}.items() if entry is not None}
