"""What of the agent's folder a worker of another user may reach: a few folders, and of those only some to write.

| path | the worker |
|---|---|
| `versions/` | reads |
| `objects/` | opens what it knows the digest of |
| `secrets/`, `hooks/`, `config.json`, `config.last_good.json` | reads |
| `data/`, `captured/` | writes |
| `identity/`, `state/`, `tuf/`, `inbox/`, `trust/` | nothing |

What it may reach belongs to its group. The supervisor stays the owner, so that nothing the worker does takes that away.
"""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_agent.home import Home
from edge_agent.last_good_settings import LAST_GOOD_FILE
from edge_agent.worker.child_identity import ChildIdentity, examine_identity

SUPERVISOR_UMASK = 0o022
"""What the supervisor writes can be read by whoever the folder lets in."""
_ENTER, _LIST = stat.S_IXGRP, stat.S_IXGRP | stat.S_IRGRP
_WRITE = stat.S_IRWXG

log = logging.getLogger(__name__)


class IdentityError(Exception):
    """The user that `worker_user` names can not be used; the message says why."""


def settle_identity(home: Home, worker_user: str) -> tuple[ChildIdentity | None, str]:
    """Who the children are, with the agent's folder made fit for that; the second part is why they are not another user, if so.

    Raises:
        IdentityError: the setting `worker_user` names a user that can not be used.
    """
    identity, trouble = examine_identity(worker_user, home.folder.parent)
    if identity is not None:
        try:
            share(home, identity)
        except OSError as error:
            trouble = f"the agent's folder can not be shared with the group of {identity.user}: {error}"
    if worker_user and trouble:
        raise IdentityError(f"worker_user {worker_user!r} can not be used: {trouble}")
    return (None if trouble else identity), trouble


def share(home: Home, identity: ChildIdentity) -> None:
    """Close what is the supervisor's alone, open the rest to the worker's group.

    Raises:
        OSError: the group can not be given a folder (this process is neither root nor in the group).
    """
    os.umask(SUPERVISOR_UMASK)
    for private in (home.identity, home.state, home.tuf, home.inbox, home.trust):
        private.chmod(0o700)
    home.folder.chmod(stat.S_IMODE(home.folder.stat().st_mode) | stat.S_IXGRP | stat.S_IXOTH)
    _give(home.objects, identity, _ENTER)
    _give(home.versions, identity, _LIST)
    for path in _inside(home.versions):
        _open_to_all(path)
    for folder in (home.captured, home.data):
        _hand_over(folder, identity)
    for path in (*home.of_owner, home.folder / LAST_GOOD_FILE):
        _lend(path, identity)


def _give(path: Path, identity: ChildIdentity, bits: int) -> None:
    """One path to the group, with these permissions, and to nobody else."""
    os.chown(path, -1, identity.gid, follow_symlinks=False)
    path.chmod(stat.S_IRWXU | bits)


def _open_to_all(path: Path) -> None:
    """A version's folder or file, which an earlier umask may have closed; who may come so far is decided above it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = mode | (0o055 if path.is_dir() else 0o044)
    if wanted != mode:
        path.chmod(wanted)


def _hand_over(folder: Path, identity: ChildIdentity) -> None:
    """A folder to write into. What it holds is gone through only the first time: later it may hold what a worker made."""
    folder.mkdir(exist_ok=True)
    if folder.stat().st_gid == identity.gid:
        return
    for path in _inside(folder):
        _share_one(path, identity, stat.S_IRGRP | stat.S_IWGRP)
    _give(folder, identity, _WRITE)


def _lend(path: Path, identity: ChildIdentity) -> None:
    """Something to read, made by the device's owner; what is not the supervisor's own to give stays as it is."""
    try:
        for part in (path, *_inside(path)) if path.exists() else ():
            _share_one(part, identity, stat.S_IRGRP)
    except OSError as error:
        log.warning("%s can not be shared with workers (%s): %s", path, identity.user, error)


def _share_one(path: Path, identity: ChildIdentity, bits: int) -> None:
    if path.is_symlink():
        return
    mode = stat.S_IMODE(path.stat().st_mode) | bits | (stat.S_IXGRP if path.is_dir() else 0)
    if (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) != (identity.gid, mode):
        os.chown(path, -1, identity.gid, follow_symlinks=False)
        path.chmod(mode)


def _inside(folder: Path) -> Iterator[Path]:
    """Everything in a folder, following no links."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files))
