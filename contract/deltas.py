"""Patches: how a file that a device lacks is made from one that it has, with fewer bytes over the wire.

A patch is a hint like a block list: nobody signs it. Whoever applies one writes at most the length
that the signed manifest names, and believes the whole SHA-256 of what came out alone.
"""

import enum

import msgspec

from contract.manifest import Sha256

PATCH_SHARE = 0.6
"""A patch is worth its trouble when it is smaller than this share of the whole."""
PATCHED_LEAST_BYTES = 16 * 1024
PATCHED_MAX_BYTES = 64 << 20
"""Longer files are always fetched whole: making and applying patches keeps both files in memory."""
PATCH_LIST_MAX_BYTES = 64 * 1024
PATCHES_MAX = 16


class PatchKind(str, enum.Enum):
    """How a patch is written; see `contract.patching`."""

    ZSTD = "zstd"  # zstd with the base as its dictionary; without a base the whole file, compressed
    DIFFERENCE = "difference"  # differences to aligned bytes of the base, then zstd


class Patch(msgspec.Struct, frozen=True):
    """One patch of a file; `base` is the file it starts from, empty for none."""

    base: str
    kind: str
    size_bytes: int
    sha256: Sha256


class PatchList(msgspec.Struct, frozen=True):
    """Answer of `/v1/artifacts/<sha256>/patches`."""

    patches: tuple[Patch, ...] = ()


def is_worth_it(patch_bytes: int, whole_bytes: int) -> bool:
    """Whether fetching a patch is better than fetching `whole_bytes`."""
    return patch_bytes < PATCH_SHARE * whole_bytes
