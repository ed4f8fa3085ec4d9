"""How the agent starts its own child processes: from Python, or from one frozen executable that is all of them."""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from edge_agent.worker.child_processes import CHILD_MODULES, child_environment

CHILDREN: Mapping[str, str] = {**CHILD_MODULES, "tuf": "edge_agent.update.tuf_child", "patch": "edge_agent.update.patch_child"}
"""Children by name; each module has a `main()`. The frozen program runs them as `eyelet-agent child NAME`."""

ANSWER_MAX_BYTES = 4 << 20
_END_S = 5.0
T = TypeVar("T")


class ChildError(Exception):
    """A child ended without an answer; `crashed` says whether a signal ended it."""

    def __init__(self, message: str, *, crashed: bool = False) -> None:
        super().__init__(message)
        self.crashed = crashed


def child_command(name: str) -> list[str]:
    """The command line of a child."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "child", name]
    return [sys.executable, "-m", CHILDREN[name]]


def run_child(name: str) -> None:
    """Be a child: what the frozen program does in place of its command line.

    Raises:
        KeyError: there is no such child.
    """
    importlib.import_module(CHILDREN[name]).main()


async def ask_child(name: str, request: object, answer_type: type[T]) -> T:
    """Give one JSON request to a child and return its one JSON answer; a cancelled call ends the child.

    Raises:
        ChildError: it ended without an answer of this type.
    """
    process = await asyncio.create_subprocess_exec(
        *child_command(name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(),
        start_new_session=os.name == "posix",
    )
    try:
        output, errors = await _talk(process, msgspec.json.encode(request) + b"\n")
    finally:
        await _end(process)
    line = output.strip().rpartition(b"\n")[2]
    try:
        return msgspec.json.decode(line, type=answer_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChildError(_describe_end(name, process.returncode, errors), crashed=(process.returncode or 0) < 0) from error


async def _talk(process: asyncio.subprocess.Process, request: bytes) -> tuple[bytes, bytes]:
    """Give the request, then read what the child says until it ends."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise ChildError("the child was started without pipes")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    output, errors = await asyncio.gather(_read(process.stdout, ANSWER_MAX_BYTES), _read(process.stderr, ANSWER_MAX_BYTES))
    await process.wait()
    return output, errors


async def _read(stream: asyncio.StreamReader, max_bytes: int) -> bytes:
    data = bytearray()
    while piece := await stream.read(1 << 16):
        data += piece
        if len(data) > max_bytes:
            raise ChildError(f"the child says more than {max_bytes} bytes")
    return bytes(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the child's process group and wait, where it still runs."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(process.wait(), _END_S)


def _describe_end(name: str, code: int | None, errors: bytes) -> str:
    last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
    return f"the {name} child {how}: {last[0][:300]}"
