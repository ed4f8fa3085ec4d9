"""What an entry of the table of architectures says: its name, its options, its usual recipe and how it is built."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from desktop_app.training.errors import RecipeError
from desktop_app.training.recipe import OptionValue

NETWORK = "network"
ESTIMATOR = "estimator"


@dataclass(frozen=True)
class Option:
    """One setting of an architecture, as data: type, default, range and help in one place."""

    name: str
    default: OptionValue
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def parse(self, value: OptionValue) -> OptionValue:
        """Check a value, or read one from the text of a command line.

        Raises:
            RecipeError: of another type, out of range or not among the choices.
        """
        parsed = _as_type(value, type(self.default), self.name)
        if self.choices and parsed not in self.choices:
            raise RecipeError(f"option {self.name} is {parsed!r}, expected one of {', '.join(self.choices)}")
        if isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
            low, high = self.minimum, self.maximum
            if (low is not None and parsed < low) or (high is not None and parsed > high):
                raise RecipeError(f"option {self.name} is {parsed:g}, expected {low:g} to {high:g}")
        return parsed


def _as_type(value: OptionValue, kind: type, name: str) -> OptionValue:
    if kind is bool:
        texts = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        found = value if isinstance(value, bool) else texts.get(str(value).lower())
        if found is None:
            raise RecipeError(f"option {name} is {value!r}, expected true or false")
        return found
    try:
        number = float(value) if kind in {int, float} else 0.0
    except ValueError as error:
        raise RecipeError(f"option {name} is {value!r}, expected a number") from error
    if not math.isfinite(number):
        raise RecipeError(f"option {name} is {value!r}, expected a number")
    if kind is int and number != int(number):
        raise RecipeError(f"option {name} is {value!r}, expected a whole number")
    return str(value) if kind is str else kind(number)


@dataclass(frozen=True)
class Architecture:
    """One entry of `ARCHITECTURES`.

    `build` gives, for a network, a `torch.nn.Module` from float32 (N, 3, h, w), normalised, to
    logits float32 (N, C): `build(options, classes=C, size=(h, w))`; for an estimator an unfitted
    scikit-learn classifier for a numeric matrix: `build(options, seed=..., threads=...)`.
    `scaled` asks for numbers on a standard scale before an estimator (trees need none, and comparing
    the raw float32 values keeps their thresholds exact on the device).
    `usual` are the recipe's fields that suit it where the user says nothing.
    """

    name: str
    title: str
    summary: str
    task: str
    kind: str  # NETWORK or ESTIMATOR
    build: Callable[..., Any]
    options: tuple[Option, ...] = ()
    usual: Mapping[str, Any] = field(default_factory=dict)
    scaled: bool = False

    def complete_options(self, given: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
        """The given options checked, the others by default, in the order of the names.

        Raises:
            RecipeError: an unknown option (with the nearest known one) or a bad value.
        """
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                raise RecipeError(unknown_name(name, tuple(known), f"option of {self.name}"))
        return {name: known[name].parse(given.get(name, known[name].default)) for name in sorted(known)}


def unknown_name(name: str, known: tuple[str, ...], what: str) -> str:
    """The sentence for a name that is not in a table: the nearest one, then all."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {what} named {name[:60]!r}.{hint} Known: {', '.join(known) or 'none'}."
