"""What can go wrong with recipes and runs, each with the sentence a user needs."""

from desktop_app.errors import TrainingError


class RecipeError(TrainingError):
    """A recipe names something unknown or a value out of range: the user's to correct."""


class RunError(TrainingError):
    """A run does not exist, is broken, or is not in a state for what was asked."""
