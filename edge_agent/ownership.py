"""Whose the agent's folder is: its user's alone, whoever types a command.

An agent that runs as a user of its own (as the Debian package's does) can neither read nor replace what
root has made in its folder. So a command that root types is carried out as that user, and a folder in
which somebody else's files lie is told of in words.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edge_agent.home import Home, HomeError

ROOT = 0


def become_agents_user(home: Home) -> None:
    """Where root types a command: be the user who runs the agent here, for good. Others stay who they are.

    Raises:
        HomeError: the system does not allow it.
    """
    if os.name != "posix" or os.geteuid() != ROOT:
        return
    entry = _named(_agents_uid(home))
    if entry is None or entry[1] == ROOT:
        return
    name, uid, gid = entry
    try:
        os.initgroups(name, gid)
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        raise HomeError(f"{home.folder} belongs to {name}, whom this process may not become: sudo -u {name} eyelet-agent …") from error


def check_readable(home: Home) -> None:
    """Whether this user may look into the agent's folders, without which nothing works.

    Raises:
        HomeError: one is closed, for it is another user's; with what to do.
    """
    if os.name != "posix":
        return
    closed = next((folder for folder in _folders(home) if folder.exists() and not os.access(folder, os.R_OK | os.X_OK)), None)
    if closed is None:
        return
    mine, owner = name_of(os.geteuid()), _uid_of(home.folder)
    if owner != os.geteuid():
        raise HomeError(f"{home.folder} belongs to {name_of(owner)}, and this is {mine}: sudo -u {name_of(owner)} eyelet-agent …")
    raise HomeError(describe(Foreign(closed, name_of(_uid_of(closed)), mine), home))


class Foreign(NamedTuple):
    """Something in the agent's folder that its user can not replace, for it is another's."""

    path: Path
    owner: str
    agents_user: str


def describe(foreign: Foreign, home: Home) -> str:
    """For people, with what to do."""
    return f"{foreign.path} belongs to {foreign.owner}, and the agent is {foreign.agents_user}. {advice(foreign, home)}"


def advice(foreign: Foreign, home: Home) -> str:
    """The command that puts it right."""
    return f"Give it back: sudo chown -R {foreign.agents_user}: {home.folder}"


def find_foreign(home: Home) -> Foreign | None:
    """The first thing in the folder that is not its user's; None where all is well, or where root runs the agent."""
    if os.name != "posix":
        return None
    agents_user = _named(_agents_uid(home) if os.geteuid() == ROOT else os.geteuid())
    if agents_user is None or agents_user[1] == ROOT:
        return None
    path = next((path for path in _kept(home) if _uid_of(path) not in {agents_user[1], None}), None)
    return None if path is None else Foreign(path, name_of(_uid_of(path)), agents_user[0])


def _agents_uid(home: Home) -> int | None:
    """Who ran the agent here last; before it ever ran who made its state, or its folder."""
    return next((uid for path in (home.status, home.state, home.folder) if (uid := _uid_of(path)) is not None), None)


def _folders(home: Home) -> tuple[Path, ...]:
    """Those that the agent itself writes; `data` and `captured` are its workers'."""
    return home.identity, home.state, home.tuf, home.slots, home.trust, home.inbox, home.run, home.objects, home.versions


def _kept(home: Home) -> Iterator[Path]:
    for folder in _folders(home):
        yield folder
        if folder not in {home.objects, home.run}:  # many, and only ever removed; what ends with the process
            try:
                yield from sorted(folder.iterdir())
            except OSError:  # it is missing, or closed and told of already
                continue


def _uid_of(path: Path) -> int | None:
    """None where it is not there, or not to be seen."""
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _named(uid: int | None) -> tuple[str, int, int] | None:
    import pwd

    try:
        entry = pwd.getpwuid(-1 if uid is None else uid)
    except (KeyError, OverflowError):
        return None
    return entry.pw_name, entry.pw_uid, entry.pw_gid


def name_of(uid: int | None) -> str:
    """A user's name, or its number where it has none."""
    entry = _named(uid)
    return entry[0] if entry is not None else f"the user {uid}"
