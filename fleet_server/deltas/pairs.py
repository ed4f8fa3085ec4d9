"""Which patches are worth making: from what devices run to the versions that they may be asked to run next. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from contract.deltas import PATCHED_LEAST_BYTES, PATCHED_MAX_BYTES
from contract.manifest import FileEntry, Manifest

TARGETS_MAX = 2
BASES_MAX = 3


class Pair(NamedTuple):
    """A patch to make; `base` is None for the whole file, compressed."""

    target: FileEntry
    base: FileEntry | None

    @property
    def base_sha256(self) -> str:
        """As `Patch.base` names it."""
        return self.base.sha256 if self.base else ""


def plan_pairs(manifests: Mapping[int, Manifest], running: Mapping[int, int], wished: Iterable[int] = ()) -> list[Pair]:
    """The pairs of one registered model, the likeliest first.

    Args:
        manifests: of the versions that may run, by number.
        running: how many devices run a version.
        wished: versions that a rollout under way wants.
    """
    newest = sorted(manifests, reverse=True)
    targets = [version for version in dict.fromkeys([*sorted(wished, reverse=True), *newest]) if version in manifests][:TARGETS_MAX]
    pairs: dict[Pair, None] = {}
    for target in targets:
        for base in choose_bases(newest, running, target):
            pairs |= dict.fromkeys(_between(manifests[base], manifests[target]))
        pairs |= dict.fromkeys(Pair(entry, None) for entry in _patched(manifests[target]).values())
    return list(pairs)


def choose_bases(newest: Sequence[int], running: Mapping[int, int], target: int) -> list[int]:
    """What most devices run, and where none says so the versions published before."""
    others = [version for version in newest if version != target]
    most = sorted((version for version in others if running.get(version)), key=lambda version: (-running[version], -version))
    before = [version for version in others if version < target]
    return list(dict.fromkeys([*most, *before]))[:BASES_MAX]


def _patched(manifest: Manifest) -> dict[str, FileEntry]:
    """The files that devices fetch, by what they are."""
    named = {f"variant {name}": variant.file for name, variant in manifest.variants.items()}
    named |= {"golden": manifest.golden, "reference": manifest.reference}
    entries = {what: manifest.files[name] for what, name in named.items()}
    return {what: entry for what, entry in entries.items() if PATCHED_LEAST_BYTES <= entry.size_bytes <= PATCHED_MAX_BYTES}


def _between(base: Manifest, target: Manifest) -> list[Pair]:
    bases = _patched(base)
    return [Pair(entry, bases[what]) for what, entry in _patched(target).items() if what in bases and bases[what].sha256 != entry.sha256]
