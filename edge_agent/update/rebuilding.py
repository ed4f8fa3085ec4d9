"""Ask a short child to apply a patch: its memory goes back, and bytes that nobody signed are read where a crash is contained."""

import asyncio

import msgspec

from contract.deltas import PatchKind
from edge_agent.children import ChildError, ask_child

REBUILD_TIMEOUT_S = 600.0


class RebuildRequest(msgspec.Struct, frozen=True):
    """Paths on this device; `base` is empty where the patch needs none."""

    kind: PatchKind
    base: str
    patch: str
    target: str
    size_bytes: int


class RebuildAnswer(msgspec.Struct, frozen=True):
    """Why there is no target; empty where there is one, whose digest is to be verified."""

    error: str = ""


async def rebuild_in_child(request: RebuildRequest) -> RebuildAnswer:
    """Apply a patch; every failure is an answer."""
    try:
        return await asyncio.wait_for(ask_child("patch", request, RebuildAnswer), REBUILD_TIMEOUT_S)
    except asyncio.TimeoutError:
        return RebuildAnswer(f"it was not applied within {REBUILD_TIMEOUT_S:g} s")
    except (ChildError, OSError) as error:
        return RebuildAnswer(str(error))
