"""What the studio remembers between starts: theme, language, recent projects, the fleet's address (never its token)."""

import logging
import os
from pathlib import Path
from typing import ClassVar

import msgspec

from contract.codec import decode, encode
from contract.errors import ContractError
from contract.files import read_bounded, write_atomic

DEFAULT_PATH = Path("~/.config/eyelet/studio.json")
DEFAULT_KEYS = "~/.config/eyelet/keys"
KEYS_VARIABLE = "EYELET_KEYS"  # as for the commands; it goes before what was saved
RECENT_MAX = 8
_MAX_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


class Preferences(msgspec.Struct, frozen=True):
    """One person's choices; `theme` is light, dark or system."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int = 1
    theme: str = "system"
    language: str = ""
    recent: tuple[str, ...] = ()
    projects_folder: str = "~/Eyelet"
    server: str = ""
    token_file: str = ""
    keys_folder: str = msgspec.field(default_factory=lambda: os.environ.get(KEYS_VARIABLE) or DEFAULT_KEYS)


def load_preferences(path: Path) -> Preferences:
    """The preferences at `path`; defaults where there are none or they can not be read."""
    try:
        saved = decode(read_bounded(path.expanduser(), _MAX_BYTES), Preferences, "the preferences")
        keys = os.environ.get(KEYS_VARIABLE)
        return msgspec.structs.replace(saved, keys_folder=keys) if keys else saved
    except FileNotFoundError:
        return Preferences()
    except (OSError, ContractError) as error:
        _log.warning("the preferences in %s are left aside: %s", path, error)
        return Preferences()


def save_preferences(path: Path, preferences: Preferences) -> None:
    """Write the preferences, all or nothing; a folder that can not be written is only logged."""
    try:
        write_atomic(path.expanduser(), encode(preferences), mode=0o600)
    except OSError as error:
        _log.warning("the preferences can not be written to %s: %s", path, error)


def with_recent(preferences: Preferences, folder: Path) -> Preferences:
    """The preferences with `folder` as the newest of the recent projects."""
    rest = [entry for entry in preferences.recent if entry != str(folder)]
    return msgspec.structs.replace(preferences, recent=(str(folder), *rest)[:RECENT_MAX])
