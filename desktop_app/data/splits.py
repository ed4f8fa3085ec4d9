"""Which sample goes to which split: a pure function of content, label and seed.

Not of names, paths or order, so that the same data gives the same splits anywhere. Samples of one
group (the same content) stay together. Per class, groups are put in an order that only the seed and
their content decide, and cut; a sample that comes later hardly moves the others.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SPLITS = ("train", "validation", "test")
_STRONGEST_FIRST = ("test", "validation", "train")
MIN_FOR_ALL_SPLITS = 3


class Member(NamedTuple):
    """What the splits depend on; `group` is a digest of the content, `given` the split its source named or empty."""

    group: str
    label: str
    given: str = ""


class Shares(NamedTuple):
    """Shares of the samples, each in [0, 1], together 1."""

    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15


DEFAULT_SHARES = Shares()


def rank(seed: int, purpose: str, group: str) -> str:
    """A group's place in the order of a seed, as hexadecimal digits; `purpose` keeps different draws independent."""
    return hashlib.sha256(f"{seed}/{purpose}/{group}".encode()).hexdigest()


def assign_splits(members: Iterable[Member], *, seed: int = 0, shares: Shares = DEFAULT_SHARES) -> dict[str, str]:
    """The split of every group.

    A split that a source gave is kept (of several for one group the one that protects the test:
    test before validation before train). Where sources gave splits but not all three, a missing one
    is cut from the given training samples.

    Returns:
        group → `train`, `validation` or `test`.
    """
    groups = _by_group(members)
    given = {group: split for group, found in groups.items() if (split := _strongest(found))}
    free = [group for group in groups if group not in given]
    assigned = dict(given)
    _cut(assigned, free, groups, seed, shares)
    _complete(assigned, given, groups, seed, shares)
    return assigned


def _complete(
    assigned: dict[str, str], given: Mapping[str, str], groups: Mapping[str, Sequence[Member]], seed: int, shares: Shares
) -> None:
    """Cut the splits that no source gave out of the given training samples."""
    present = set(given.values())
    missing = [split for split in ("validation", "test") if split not in present]
    if not present or not missing:
        return
    parts = {split: getattr(shares, split) if split in missing else 0.0 for split in ("validation", "test")}
    whole = shares.train + sum(parts.values())
    if whole <= 0:
        return
    pool = [group for group, split in given.items() if split == "train"]
    _cut(assigned, pool, groups, seed, Shares(shares.train / whole, parts["validation"] / whole, parts["test"] / whole))


def _cut(assigned: dict[str, str], pool: Sequence[str], groups: Mapping[str, Sequence[Member]], seed: int, shares: Shares) -> None:
    """Assign the groups of `pool`, class by class."""
    strata: dict[str, list[str]] = defaultdict(list)
    for group in pool:
        strata[min(member.label for member in groups[group])].append(group)
    for stratum in strata.values():
        ordered = sorted(stratum, key=lambda group: rank(seed, "split", group))
        sizes = [len(groups[group]) for group in ordered]
        assigned.update(zip(ordered, cut(sizes, shares), strict=True))


def cut(sizes: Sequence[int], shares: Shares) -> list[str]:
    """Cut groups of these sizes, in their order, into test, validation, train.

    From three groups on each split with a share gets one at least.
    """
    total = sum(sizes)
    wanted = {split: round(total * getattr(shares, split)) for split in ("test", "validation")}
    if len(sizes) >= MIN_FOR_ALL_SPLITS:
        wanted = {split: max(count, 1) if getattr(shares, split) > 0 else 0 for split, count in wanted.items()}
    result: list[str] = []
    filled = {"test": 0, "validation": 0}
    for index, size in enumerate(sizes):
        split = next((name for name in filled if filled[name] < wanted[name]), "train")
        if split != "train" and index == len(sizes) - 1 and shares.train > 0 and "train" not in result:
            split = "train"
        result.append(split)
        if split != "train":
            filled[split] += size
    return result


def _by_group(members: Iterable[Member]) -> dict[str, list[Member]]:
    groups: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        groups[member.group].append(member)
    return groups


def _strongest(members: Sequence[Member]) -> str:
    return next((split for split in _STRONGEST_FIRST if any(member.given == split for member in members)), "")


def draw_stratified(members: Iterable[Member], count: int, *, seed: int, purpose: str, keep: int = 0) -> set[str]:
    """Draw whole groups with `count` samples in all, classes in their proportion, each class at least once.

    Every class keeps `keep` samples; one that has no more is not drawn from.

    Returns:
        The groups drawn. They hold `count` samples, or fewer where there are not as many to draw or
        groups are too large to fill a class's quota exactly.
    """
    groups = _by_group(members)
    strata: dict[str, list[str]] = defaultdict(list)
    for group, found in groups.items():
        strata[min(member.label for member in found)].append(group)
    sizes = {label: sum(len(groups[group]) for group in stratum) for label, stratum in strata.items()}
    drawn: set[str] = set()
    for label, quota in apportion({name: max(size - keep, 0) for name, size in sizes.items()}, count).items():
        taken = 0
        for group in sorted(strata[label], key=lambda item: rank(seed, purpose, item)):
            if taken + len(groups[group]) <= quota:
                drawn.add(group)
                taken += len(groups[group])
    return drawn


def apportion(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Share `count` out in proportion to `sizes` by largest remainder, each between 1 (if it has any) and its size.

    With fewer than one for each, the largest come first.
    """
    total = sum(sizes.values())
    wanted = min(count, total)
    exact = {name: size * wanted / total if total else 0.0 for name, size in sizes.items()}
    quotas = {name: min(max(int(exact[name]), 1), sizes[name]) for name in sizes}
    least = 1 if wanted >= sum(size > 0 for size in sizes.values()) else 0
    while sum(quotas.values()) != wanted:
        step = 1 if sum(quotas.values()) < wanted else -1
        movable = [name for name in sizes if least <= quotas[name] + step <= sizes[name]]
        name = max(movable, key=lambda item: (step * (exact[item] - quotas[item]), item))
        quotas[name] += step
    return quotas
