"""How the agent starts its own child processes: from Python, or from one frozen executable that is all of them."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TypeVar

import msgspec

CHILD_OPTION = "--child"
CHILDREN = ("edge_agent.update.tuf_child", "edge_agent.worker.self_test", "edge_agent.worker.main")
"""Modules that the frozen executable may run in place of its command line."""

ANSWER_MAX_BYTES = 4 << 20
_END_S = 5.0
T = TypeVar("T")


class ChildError(Exception):
    """A child ended without an answer; `crashed` says whether a signal ended it."""

    def __init__(self, message: str, *, crashed: bool = False) -> None:
        super().__init__(message)
        self.crashed = crashed


def child_command(module: str) -> list[str]:
    """The command line that runs a module of the agent in a process of its own."""
    if getattr(sys, "frozen", False):
        return [sys.executable, CHILD_OPTION, module]
    return [sys.executable, "-m", module]


async def ask_child(module: str, request: object, answer_type: type[T], *, arguments: Sequence[str] = ()) -> T:
    """Give one JSON request to a child and return its one JSON answer; a cancelled call ends the child.

    Raises:
        ChildError: it ended without an answer of this type.
    """
    process = await asyncio.create_subprocess_exec(
        *child_command(module),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=os.name == "posix",
    )
    try:
        output, errors = await _talk(process, msgspec.json.encode(request) + b"\n")
    finally:
        await _end(process)
    line = output.strip().rpartition(b"\n")[2]
    try:
        return msgspec.json.decode(line, type=answer_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChildError(_describe_end(module, process.returncode, errors), crashed=(process.returncode or 0) < 0) from error


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


def _describe_end(module: str, code: int | None, errors: bytes) -> str:
    last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
    return f"{module.rpartition('.')[2]} {how}: {last[0][:300]}"
