"""Apply one patch, as a process of its own: `python -m edge_agent.update.patch_child`; request and answer are one JSON document each."""

import sys
from functools import partial
from pathlib import Path

import msgspec

from contract.codec import MESSAGE_MAX_BYTES
from contract.errors import ContractError
from contract.patching import Job, apply_patch
from edge_agent.update.disk import REAL_DISK, Disk
from edge_agent.update.rebuilding import RebuildAnswer, RebuildRequest
from edge_agent.worker.child_identity import confine
from edge_agent.worker.child_processes import end_with_parent

MEMORY_MAX_BYTES = 1 << 30


def rebuild(request: RebuildRequest, disk: Disk = REAL_DISK) -> RebuildAnswer:
    """Write the target, at most as long as it was promised; a failure leaves a part of it, which nobody believes."""
    target = Path(request.target)
    job = Job(request.kind, Path(request.base) if request.base else None, Path(request.patch), request.size_bytes)
    try:
        disk.write(target, b"")
        apply_patch(job, partial(disk.append, target))
    except (ContractError, OSError) as error:
        return RebuildAnswer(str(error))
    return RebuildAnswer()


def main() -> int:
    """Read the request, apply, answer."""
    end_with_parent()
    confine()
    _limit_memory()
    request = msgspec.json.decode(sys.stdin.buffer.read(MESSAGE_MAX_BYTES), type=RebuildRequest)
    sys.stdout.buffer.write(msgspec.json.encode(rebuild(request)) + b"\n")
    return 0


def _limit_memory() -> None:
    if sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))


if __name__ == "__main__":
    raise SystemExit(main())
