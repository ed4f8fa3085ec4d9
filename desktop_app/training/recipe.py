"""The recipe: everything that decides a run, as one frozen value with a digest."""

from typing import Any, ClassVar

import msgspec

from contract.codec import encode
from contract.files import sha256_of

OptionValue = bool | int | float | str

EPOCHS_MAX = 10_000
BATCH_MAX = 65_536


class Augmentation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How training images are varied, freshly in each epoch.

    `shift_share` is the largest shift in both directions as a share of the side (0.1 of 32 px is
    3 px; the border is filled with the border's colour). `flip` mirrors left and right in half of
    the cases, which is right for cats and wrong for digits, so it is off unless asked for.
    """

    shift_share: float = 0.1
    flip: bool = False


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides a run: the same recipe gives the same model on the same machine.

    `dataset_version` is the digest of a frozen dataset version; `options` are the architecture's,
    complete with defaults, plus `input_size` for images. `epochs` to `augmentation` are read by
    networks only. `label_permutation_seed` injects a fault: the run learns *permuted labels*, so
    that acceptance gates can be tested with a model that is wrong yet consistent with itself.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    task: str
    dataset_version: str
    architecture: str
    options: dict[str, OptionValue] = {}
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 3e-3  # the highest of the one-cycle schedule
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    augmentation: Augmentation = Augmentation()
    seed: int = 0
    threads: int = 2
    label_permutation_seed: int | None = None
    schema_version: int = 1

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON."""
        return sha256_of(encode(self))


def changed(recipe: Recipe, **fields: Any) -> Recipe:  # noqa: ANN401  (a field's own type)
    """The recipe with some fields replaced."""
    return msgspec.structs.replace(recipe, **fields)


def recipe_faults(recipe: Recipe) -> list[str]:
    """What is out of range in a recipe, one sentence each; empty for a good one."""
    limits: list[tuple[str, float, float, float]] = [
        ("epochs", recipe.epochs, 1, EPOCHS_MAX),
        ("batch_size", recipe.batch_size, 1, BATCH_MAX),
        ("learning_rate", recipe.learning_rate, 1e-9, 100.0),
        ("weight_decay", recipe.weight_decay, 0.0, 100.0),
        ("label_smoothing", recipe.label_smoothing, 0.0, 0.9),
        ("augmentation.shift_share", recipe.augmentation.shift_share, 0.0, 0.5),
        ("seed", recipe.seed, 0, 2**31 - 1),
        ("threads", recipe.threads, 1, 256),
    ]
    return [f"{name} is {value}, expected {low:g} to {high:g}" for name, value, low, high in limits if not low <= value <= high]


def recipe_notes(recipe: Recipe) -> tuple[str, ...]:
    """What a reader of the run must not overlook."""
    if recipe.label_permutation_seed is None:
        return ()
    seed = recipe.label_permutation_seed
    return (f"Fault injection: trained on permuted labels (seed {seed}). This model is wrong on purpose, to test the acceptance gate.",)


def label_permutation(seed: int, classes: int) -> tuple[int, ...]:
    """Which class each class is taught as; no class keeps its own label.

    Args:
        seed: any seed; it picks one of the cyclic orders of the classes.
        classes: at least 2.

    Returns:
        `classes` indices, a permutation without a fixed point (one cycle through all classes).
    """
    import random

    order = list(range(classes))
    random.Random(seed).shuffle(order)  # noqa: S311  (a fault injection, not a secret)
    taught = [0] * classes
    for position, index in enumerate(order):
        taught[index] = order[(position + 1) % classes]
    return tuple(taught)
