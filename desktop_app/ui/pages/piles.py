"""Piles of samples to go through, and the key of each class; pure."""

from typing import NamedTuple

from desktop_app.data.catalogue import SampleQuery
from desktop_app.ui.questions.holdings import Holdings
from desktop_app.ui.translations.text import Text

KEYS = "1234567890"


class Pile(NamedTuple):
    """A pile of samples to go through."""

    name: Text
    query: SampleQuery


PILES = (
    Pile(Text("Labelling queue"), SampleQuery(queued=True, order="newest")),
    Pile(Text("Unlabelled"), SampleQuery(labelled=False, excluded=False)),
    Pile(Text("Contradictory labels"), SampleQuery(conflict=True, excluded=False)),
    Pile(Text("All samples"), SampleQuery(order="mixed")),
)


def first_pile(holdings: Holdings) -> int:
    """The first pile that is not empty."""
    sizes = (holdings.queued, holdings.unlabelled, holdings.conflicts, 1)
    return next(at for at, size in enumerate(sizes) if size)


def keys_for(labels: tuple[str, ...]) -> dict[str, str]:
    """A key per class: a class that is called like a digit gets that digit, the others what is left, from 1 on."""
    own = {name: name for name in labels if name in KEYS and len(name) == 1}
    left = [key for key in KEYS if key not in own.values()]
    others = [name for name in labels if name not in own]
    return {**own, **dict(zip(others, left, strict=False))}
