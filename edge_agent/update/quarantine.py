"""The digests that must not be activated again: in memory, and in `quarantine.json`.

What could not be written holds for this process all the same, and is tried again with the next
step of any update; until it is written no new update begins, so that a cut can not forget it.
"""

import logging
from pathlib import Path

import msgspec

from edge_agent.home import read_patiently, save_document
from edge_agent.update.disk import Disk
from edge_agent.update.records import Quarantined

QUARANTINE_FILE = "quarantine.json"

log = logging.getLogger(__name__)


class Quarantine:
    """The quarantine of one agent."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / QUARANTINE_FILE
        self._disk = disk
        self._entries: dict[str, Quarantined] | None = None
        self.is_saved = True

    @property
    def entries(self) -> dict[str, Quarantined]:
        """Why each digest is quarantined; a copy. Of a file that can not be read just now nothing is known, until it can."""
        if self._entries is None:
            self._entries = self._load()
        return dict(self._entries or {})

    def _load(self) -> dict[str, Quarantined] | None:
        """None where the disk fails; a missing or damaged file is an empty one."""
        try:
            return msgspec.json.decode(read_patiently(self._path, self._disk), type=dict[str, Quarantined])
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning("%s can not be read now: %s", self._path.name, error)
            return None
        except Exception as error:  # noqa: BLE001  (a damaged small file must not keep the agent from starting)
            log.warning("%s is damaged and is taken as absent: %s", self._path.name, error)
            return {}

    def replace(self, entries: dict[str, Quarantined]) -> None:
        """Take these entries and write them.

        Raises:
            OSError: they could not be written.
        """
        self._entries, self.is_saved = dict(entries), False
        self.save()

    def save(self) -> None:
        """Write what could not be written before; raises as `replace`."""
        if not self.is_saved:
            save_document(self._path, self.entries, self._disk)
            self.is_saved = True
