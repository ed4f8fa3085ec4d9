"""What holds where `config.json` is refused: the settings of the last start that could read it, less what they allowed.

A power cut or an editor may leave the file half-written on a device that nobody can reach. The copy lies beside
it, since workers, which may be another user, read both. No command but `run` and its workers makes do with it.
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from contract.errors import ContractError
from edge_agent.findings import WRONG, Finding
from edge_agent.home import Home
from edge_agent.listening import ListenError
from edge_agent.settings import CONFIG_MAX_BYTES, Settings, SettingsError, load_settings
from edge_agent.update.disk import REAL_DISK, Disk, replace_content

LAST_GOOD_FILE = "config.last_good.json"
ALLOWANCES = ("capture_samples", "http_load_unload")
"""What a copy does not allow: the owner may have been about to forbid it."""

log = logging.getLogger(__name__)


class InForce(NamedTuple):
    """Settings that hold; `refused` says why they are not those of `config.json`, and is empty where they are."""

    settings: Settings
    refused: str = ""


def settle_settings(home: Home, disk: Disk = REAL_DISK) -> InForce:
    """The settings to start with; what `config.json` says is kept for the next time, where it is accepted.

    Raises:
        SettingsError, ListenError: it is refused, and so is the copy, or there is none.
    """
    try:
        settings = load_settings(home.folder)
        _check_access(settings, home)
    except (SettingsError, ListenError) as error:
        last_good = load_last_good(home.folder, disk)
        if last_good is None:
            raise
        log.error("%s. The settings of the last good start hold (%s)", error, LAST_GOOD_FILE)  # noqa: TRY400  (a sentence, no traceback)
        _check_access(last_good, home)
        return InForce(last_good, str(error))
    _keep(settings, home, disk)
    return InForce(settings)


def load_settings_in_force(folder: Path) -> Settings:
    """For a worker: `config.json`, or the copy where it was damaged since the agent's start.

    Raises:
        SettingsError: it is refused, and so is the copy, or there is none.
    """
    try:
        return load_settings(folder)
    except SettingsError as error:
        last_good = load_last_good(folder)
        if last_good is None:
            raise
        log.warning("%s. The settings of the agent's last good start hold", error)
        return last_good


def load_last_good(folder: Path, disk: Disk = REAL_DISK) -> Settings | None:
    """The copy, less what it allowed and less what this version of the agent does not know; None where there is none that can be read."""
    kept = _read(folder / LAST_GOOD_FILE, disk)
    if kept is None:
        return None
    try:
        known = {name: kept[name] for name in Settings.__struct_fields__ if name in kept and name not in ALLOWANCES}
        return msgspec.convert(known, Settings)
    except msgspec.ValidationError as error:
        log.warning("%s is damaged, too: %s", LAST_GOOD_FILE, error)
        return None


def describe_refused(home: Home) -> Finding:
    """What an agent says that runs with the copy; it does not take a file over that is right again: an editor may still be at it."""
    meanwhile = f"{' and '.join(ALLOWANCES)} are off meanwhile"
    try:
        _check_access(load_settings(home.folder), home)
    except (SettingsError, ListenError) as error:
        text = f"the settings of the last good start hold, since config.json is refused: {error}"
        return Finding("Settings", WRONG, text, f"Correct it, then restart the agent; {meanwhile}")
    text = "config.json is right again, but the settings of the last good start hold until the agent is restarted"
    return Finding("Settings", WRONG, text, f"Restart the agent (`systemctl restart eyelet-agent`); {meanwhile}")


def _check_access(settings: Settings, home: Home) -> None:
    """What can be known of the endpoint's door before anything is opened; raises ListenError."""
    if settings.http_host != Settings().http_host or settings.http_token_file or settings.tls_cert or settings.tls_key:
        from edge_agent.http_access import prepare_access  # most agents need no TLS, and a start is short

        prepare_access(settings, home.folder)


def _keep(settings: Settings, home: Home, disk: Disk) -> None:
    path, data = home.folder / LAST_GOOD_FILE, msgspec.json.format(msgspec.json.encode(settings)) + b"\n"
    try:
        if not path.exists() or disk.read(path, CONFIG_MAX_BYTES) != data:
            replace_content(disk, path, data)
    except (OSError, ContractError) as error:
        log.warning("%s can not be written; a config.json that is damaged later will be refused: %s", LAST_GOOD_FILE, error)


def _read(path: Path, disk: Disk) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(disk.read(path, CONFIG_MAX_BYTES), type=dict[str, Any])
    except FileNotFoundError:
        return None
    except (OSError, ContractError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.warning("%s is damaged, too: %s", LAST_GOOD_FILE, error)
        return None
