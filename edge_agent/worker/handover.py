"""A door into a worker that runs already: one end of a pair of sockets, through which open descriptors are handed to it.

Pipes carry bytes only; a Unix socket carries descriptors too. Each worker gets its end as it starts, for later.
"""

import contextlib
import functools
import os
import socket
from collections.abc import Sequence

_VARIABLE = "EYELET_HANDOVER_DESCRIPTOR"
_MARK = b"d"


def doors_exist() -> bool:
    """Whether this system can hand descriptors over."""
    return os.name == "posix" and hasattr(socket, "send_fds")


def make_door() -> tuple[socket.socket, socket.socket] | None:
    """The supervisor's end and the worker's; None where the system can not hand descriptors over."""
    if not doors_exist():
        return None
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def environment_for(door: socket.socket | None) -> dict[str, str]:
    """What tells the worker which inherited descriptor its end is."""
    return {_VARIABLE: str(door.fileno())} if door is not None else {}


def hand_over(door: socket.socket, descriptors: Sequence[int]) -> None:
    """Give copies of open descriptors to the worker, which takes them when it is told to; never blocks.

    Raises:
        OSError: the worker is gone, or took nothing for long.
    """
    socket.send_fds(door, [_MARK], list(descriptors))


@functools.cache
def inherited_door() -> socket.socket | None:
    """The worker's end; None where it was given none."""
    with contextlib.suppress(OSError, ValueError):
        door = socket.socket(fileno=int(os.environ.pop(_VARIABLE, "")))
        door.setblocking(False)
        return door
    return None


def take_all(door: socket.socket, count: int) -> tuple[int, ...]:
    """As many descriptors as were handed over at once.

    Raises:
        OSError: there are none, or another number.
    """
    _, descriptors, _, _ = socket.recv_fds(door, len(_MARK), count, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    if len(descriptors) != count:
        raise OSError(f"{len(descriptors)} descriptors were handed over, {count} were promised")
    return tuple(descriptors)


def take_over(door: socket.socket) -> int:
    """The newest descriptor that was handed over; older ones, which nobody asked for, are closed.

    Raises:
        OSError: there is none.
    """
    newest = -1
    with contextlib.suppress(BlockingIOError):
        while True:
            data, descriptors, _, _ = socket.recv_fds(door, len(_MARK), 1)
            if not data:
                break
            for descriptor in descriptors:
                if newest >= 0:
                    os.close(newest)
                newest = descriptor
    if newest < 0:
        raise OSError("nothing was handed over")
    return newest
