"""Make the patches of one pair in a child process that is bounded in memory and time: `python -m fleet_server.deltas.making`.

Request on stdin, answer on stdout, one JSON document each.
"""

import contextlib
import os
import resource
import sys
from pathlib import Path

import msgspec

from contract.deltas import PATCHED_MAX_BYTES, Patch, PatchKind, is_worth_it
from contract.files import read_bounded, write_atomic
from contract.patching import make_patch
from fleet_server.deltas.derived import describe_patch

MEMORY_MAX_BYTES = 2 << 30
CPU_MAX_S = 600
REQUEST_MAX_BYTES = 16 * 1024


class MakeRequest(msgspec.Struct, frozen=True):
    """Paths of the files; `base` empty: compress the whole target."""

    base_sha256: str
    base: str
    target: str
    folder: str


class MakeAnswer(msgspec.Struct, frozen=True):
    """Patches that are worth fetching, the smallest alone; it lies in the folder as `.<sha256>.patch`."""

    patches: tuple[Patch, ...] = ()


def make(request: MakeRequest) -> MakeAnswer:
    """Make each kind, and keep the smallest where it is small enough."""
    target = read_bounded(Path(request.target), PATCHED_MAX_BYTES)
    base = read_bounded(Path(request.base), PATCHED_MAX_BYTES) if request.base else b""
    kinds = tuple(PatchKind) if request.base else (PatchKind.ZSTD,)
    data, kind = min(((make_patch(kind, base, target), kind) for kind in kinds), key=lambda made: len(made[0]))
    if not is_worth_it(len(data), len(target)):
        return MakeAnswer()
    patch = describe_patch(request.base_sha256, kind.value, data)
    write_atomic(temporary_path(Path(request.folder), patch), data)
    return MakeAnswer((patch,))


def temporary_path(folder: Path, patch: Patch) -> Path:
    """Where a patch lies until it is taken over."""
    return folder / f".{patch.sha256}.patch"


def main() -> int:
    """Read the request, make, answer."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_MAX_S, CPU_MAX_S))
        os.nice(15)
    request = msgspec.json.decode(sys.stdin.buffer.read(REQUEST_MAX_BYTES), type=MakeRequest)
    sys.stdout.buffer.write(msgspec.json.encode(make(request)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
