"""The agent's folder: where everything lies, and the small files that are replaced all at once.

| path | what |
|---|---|
| `identity/` | made at enrolment, mode 0700: `enrolment.json`, `device.key`, `password`, `director.json`, `root.json`, `ca.pem` |
| `trust/` | public keys for lone packages; `root.json`, pinned for bundles where there is no fleet |
| `tuf/` | the TUF client's metadata |
| `objects/<sha256>` | verified files; `objects/.partial/` those on their way |
| `versions/<digest>/` | verified versions, hard links to the objects |
| `engines/<digest>/` | what an accelerator built of a version: can be built again |
| `slots/<slot>/` | the pointers `current`, `last_known_good`, `candidate` |
| `state/` | `journal.jsonl`, `quarantine.json`, `desired.json`, `memory.json`, `outbox.sqlite`, `commands.json` |
| `inbox/` | lone packages and bundles that wait to be installed |
| `data/`, `captured/` | what applications write: the files of their sinks, field samples |
| `secrets/`, `hooks/`, `config.json` | the owner's: passwords of applications, functions, settings |
| `config.last_good.json` | the settings of the last start that accepted `config.json`, for when it is damaged |
| `run/` | `lock`, `endpoint.json`, `status.json`, sockets: nothing that outlives the process |
"""

import logging
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from contract.codec import encode
from edge_agent.update.disk import REAL_DISK, Disk, replace_content

SMALL_FILE_MAX_BYTES = 4 << 20
T = TypeVar("T")

log = logging.getLogger(__name__)


class HomeError(Exception):
    """The agent's folder is missing, in use, or can not be written."""


class Home(NamedTuple):
    """Paths in the agent's folder."""

    folder: Path

    @property
    def identity(self) -> Path:
        """Keys and password of the device; mode 0700."""
        return self.folder / "identity"

    @property
    def trust(self) -> Path:
        """Public keys that may sign lone packages."""
        return self.folder / "trust"

    @property
    def tuf(self) -> Path:
        """The TUF client's own folder."""
        return self.folder / "tuf"

    @property
    def objects(self) -> Path:
        """Verified files by digest."""
        return self.folder / "objects"

    @property
    def versions(self) -> Path:
        """Verified versions by digest."""
        return self.folder / "versions"

    @property
    def engines(self) -> Path:
        """What accelerators built of versions, by the versions' digests."""
        return self.folder / "engines"

    @property
    def slots(self) -> Path:
        """Pointers of each slot."""
        return self.folder / "slots"

    @property
    def state(self) -> Path:
        """What the agent remembers."""
        return self.folder / "state"

    @property
    def inbox(self) -> Path:
        """Lone packages that wait."""
        return self.folder / "inbox"

    @property
    def data(self) -> Path:
        """What applications write."""
        return self.folder / "data"

    @property
    def captured(self) -> Path:
        """Field samples per slot."""
        return self.folder / "captured"

    @property
    def of_owner(self) -> tuple[Path, Path, Path]:
        """What the device's owner makes, and the agent only reads: passwords of applications, functions, settings."""
        return self.folder / "secrets", self.folder / "hooks", self.folder / "config.json"

    @property
    def run(self) -> Path:
        """What belongs to the running process."""
        return self.folder / "run"

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.state / "journal.jsonl"

    @property
    def outbox(self) -> Path:
        """The outbox's database."""
        return self.state / "outbox.sqlite"

    @property
    def endpoint(self) -> Path:
        """Says where the running agent answers: `{"url", "socket", "pid", "slots"}`."""
        return self.run / "endpoint.json"

    @property
    def status(self) -> Path:
        """What the running agent says of itself, replaced every few seconds: `edge_agent.status.Status`."""
        return self.run / "status.json"

    @property
    def lock(self) -> Path:
        """Held by the running agent."""
        return self.run / "lock"


def make_home(folder: Path) -> Home:
    """Create the agent's folder where parts of it are missing.

    Raises:
        HomeError: it can not be created or written.
    """
    home = Home(folder.expanduser().absolute())
    try:
        for part in (home.folder, home.objects, home.versions, home.slots, home.trust, home.inbox, home.run):
            part.mkdir(parents=True, exist_ok=True)
        for private in (home.identity, home.state, home.tuf):
            private.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeError(f"the agent's folder {home.folder} can not be made: {error}. Choose another with --home") from error
    return home


def find_home(folder: Path) -> Home:
    """The agent's folder, which must exist.

    Raises:
        HomeError: it does not.
    """
    home = Home(folder.expanduser().absolute())
    if not home.state.is_dir():
        raise HomeError(f"{home.folder} is no agent's folder; `eyelet-agent enroll` or `run` makes one")
    return home


def load_document(path: Path, kind: type[T], disk: Disk = REAL_DISK) -> T | None:
    """A small file of the agent's own; None where it is missing, damaged or not to be read (which is logged)."""
    try:
        return load_readable(path, kind, disk)
    except OSError as error:
        log.warning("%s can not be read and is taken as absent: %s", path.name, error)
        return None


def load_readable(path: Path, kind: type[T], disk: Disk = REAL_DISK) -> T | None:
    """As `load_document`, for what must not be taken as absent while the disk fails.

    Raises:
        OSError: it can not be read now.
    """
    try:
        return msgspec.json.decode(_read_patiently(path, disk), type=kind)
    except FileNotFoundError:
        return None
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  (a damaged small file must not keep the agent from starting)
        log.warning("%s is damaged and is taken as absent: %s", path.name, error)
        return None


def save_document(path: Path, document: object, disk: Disk = REAL_DISK) -> None:
    """Replace a small file, all or nothing."""
    disk.make_folder(path.parent)
    replace_content(disk, path, encode(document) + b"\n")


def _read_patiently(path: Path, disk: Disk) -> bytes:
    """A disk that fails to read once may read the next time; giving up would mean that the file counts as lost."""
    try:
        return disk.read(path, SMALL_FILE_MAX_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        log.warning("%s could not be read and is tried again: %s", path.name, error)
    return disk.read(path, SMALL_FILE_MAX_BYTES)
