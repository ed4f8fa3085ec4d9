"""Under which user the agent's children run: one that can read neither the agent's keys nor its outbox, where the system allows.

The supervisor switches a child's user as it starts it, which needs root or the capabilities SETUID, SETGID and KILL
(the last to end the child, and for the kernel to end it when the supervisor dies). `confine` is the child's
part: it gives up for good whatever it could gain or was left.
"""

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

WORKER_USER = "eyelet-worker"
CHILD_UMASK = 0o007
"""What a child writes is its own and its group's, so that a supervisor that is in the group reads and removes it."""
DEVICE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "camera": ("video",),
    "microphone": ("audio",),
    "serial": ("dialout",),
    "gpio": ("gpio",),
    "accelerator": ("video", "render"),
}
"""Kind of a source or sink, and the groups that its device files commonly belong to."""

_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 5, 6, 7
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION = 0x20080522


class ChildIdentity(NamedTuple):
    """Another user than the supervisor's, without any group but its own and those in `groups`.

    The supervisor settles it once at its start (`edge_agent.worker_folders.settle_identity`) and hands it on in
    `KeeperSettings.identity`. A child that opens a device is started with `identity.with_devices({"camera", …})`.
    Whoever starts a child passes `**spawn_options(identity)`; the child calls `confine()` first thing in its `main`.
    """

    user: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def with_devices(self, kinds: Iterable[str]) -> "ChildIdentity":
        """The same user with the groups of these kinds of sources and sinks; groups that the system lacks are left out."""
        names = {group for kind in kinds for group in DEVICE_GROUPS.get(kind, ())}
        return self._replace(groups=tuple(sorted(gid for name in names if (gid := _group_id(name)) is not None)))


def examine_identity(worker_user: str = "", *places: Path) -> tuple[ChildIdentity | None, str]:
    """Who workers, self-tests and capture processes can be; None: who the supervisor is.

    `worker_user` is the setting, empty for `eyelet-worker`; `places` are folders that the user must be able to
    enter. The second part says, for people, why another user can not be had; it is empty where none is wanted.
    """
    if os.name != "posix":
        return None, "this system has no such users"
    import pwd

    name = worker_user or WORKER_USER
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None, f"there is no user {name}; make one: useradd --system --no-create-home --shell /usr/sbin/nologin {name}"
    if entry.pw_uid == os.geteuid():
        return None, ""
    identity = ChildIdentity(name, entry.pw_uid, entry.pw_gid)
    trouble = _trouble_with(identity, places)
    return (None if trouble else identity), trouble


def _trouble_with(identity: ChildIdentity, places: Iterable[Path]) -> str:
    name = identity.user
    if identity.uid == 0:
        return "a worker must not be root where the agent is not"
    if not may_switch():
        return f"this process may not become {name}: it needs root, or the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL"
    closed = next((part for place in (*_made_of(), *places) if (part := _first_closed(identity, place)) is not None), None)
    return f"{name} can not enter {closed}; the agent, its Python and its folder must lie where every user may enter" if closed else ""


def spawn_options(identity: ChildIdentity | None) -> dict[str, Any]:
    """Keyword arguments of `subprocess` and `asyncio.create_subprocess_exec`."""
    if identity is None:
        return {}
    return {"user": identity.uid, "group": identity.gid, "extra_groups": list(identity.groups), "umask": CHILD_UMASK}


def may_switch() -> bool:
    """Whether this process can start children as another user, and end them again."""
    if not sys.platform.startswith("linux"):
        return os.geteuid() == 0
    wanted = 1 << _CAP_KILL | 1 << _CAP_SETGID | 1 << _CAP_SETUID
    return effective_capabilities() & wanted == wanted


def effective_capabilities() -> int:
    """A bit per capability of this process (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def confine() -> None:
    """Let this process and its children gain nothing more, by setuid programs or otherwise; one that is not root gives up all capabilities.

    Raises:
        OSError: the kernel refuses, which it never does to give up something.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if os.geteuid() == 0:
        return
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # kernels without ambient capabilities refuse, and need none
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    _check(libc.capset(header, bytes(24)))


def _check(answer: int) -> None:
    if answer != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _group_id(name: str) -> int | None:
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _made_of() -> tuple[Path, ...]:
    """The places that a child's program comes from."""
    program = Path(sys.executable)
    if getattr(sys, "frozen", False):  # the modules lie in the program itself, libraries in a folder beside it
        return program, program.resolve(), Path(sys.prefix)
    here = Path(__file__).resolve().parent
    return here, program, program.resolve(), Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))


def _first_closed(identity: ChildIdentity, place: Path) -> Path | None:
    """The first part of a path that the user can not enter or run, by the permissions' bits."""
    return next((part for part in (*reversed(place.parents), place) if not _may_enter(identity, part)), None)


def _may_enter(identity: ChildIdentity, path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    shift = 6 if status.st_uid == identity.uid else 3 if status.st_gid in {identity.gid, *identity.groups} else 0
    return bool(status.st_mode >> shift & 0o1)
