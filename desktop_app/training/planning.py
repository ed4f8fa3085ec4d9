"""From what a user wishes to a complete, checked recipe for a dataset version."""

from collections.abc import Mapping
from typing import Any

import msgspec

from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, list_versions, load_version
from desktop_app.tasks import TASKS
from desktop_app.training.architecture import ESTIMATOR, Architecture, unknown_name
from desktop_app.training.architectures import ARCHITECTURES
from desktop_app.training.errors import RecipeError
from desktop_app.training.recipe import Augmentation, Recipe, recipe_faults

NETWORK_FIELDS = frozenset({"epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "augmentation"})
ESTIMATOR_EPOCHS = 1


def find_version(project: Project, digest: str | None = None) -> DatasetVersion:
    """The dataset version with this digest, or the newest.

    Raises:
        RecipeError: no version has this digest.
        desktop_app.errors.VersionError: there is no version yet, or it was changed.
    """
    if not digest:
        return load_version(project)
    for summary in list_versions(project):
        if summary.digest == digest:
            return load_version(project, summary.number)
    raise RecipeError(f"this project has no dataset version with the digest {digest[:16]}…: the recipe belongs to another project")


def architectures_of(task: str) -> tuple[Architecture, ...]:
    """The architectures for a task, in the order of the table."""
    return tuple(architecture for architecture in ARCHITECTURES.values() if architecture.task == task)


def plan_recipe(version: DatasetVersion, wishes: Mapping[str, Any]) -> Recipe:
    """Complete a user's wishes (fields of `Recipe`, any of them, as JSON values) for a version.

    What is not wished for is the architecture's usual value, then the recipe's default. `input_size`
    0 is replaced by what suits the version's pictures. A complete recipe passes unchanged.

    Raises:
        RecipeError: an unknown field, architecture or option, or a value out of range.
    """
    known = Recipe.__struct_fields__
    for name in wishes:
        if name not in known:
            raise RecipeError(unknown_name(name, known, "field of a recipe"))
    architecture = find_architecture(version.task, wishes.get("architecture") or TASKS[version.task].default_architecture)
    fields = {**_usual(architecture), **{name: value for name, value in wishes.items() if value is not None}}
    fields |= {"task": version.task, "dataset_version": version.digest, "architecture": architecture.name}
    _check_belongs(architecture, wishes, version)
    options = architecture.complete_options(wishes.get("options") or {})
    if options.get("input_size") == 0:
        options["input_size"] = TASKS[version.task].input_size(version)
    fields["options"] = options
    return _checked(fields)


def find_architecture(task: str, name: str) -> Architecture:
    """An architecture for a task.

    Raises:
        RecipeError: there is none with this name, or it is for another task.
    """
    names = tuple(architecture.name for architecture in architectures_of(task))
    if name not in names:
        raise RecipeError(unknown_name(name, names, f"architecture for {task}"))
    return ARCHITECTURES[name]


def usual_augmentation(task: str, name: str | None) -> Augmentation:
    """How an architecture's training images are varied where the user says nothing.

    Raises:
        RecipeError: there is no such architecture for the task.
    """
    usual = find_architecture(task, name or TASKS[task].default_architecture).usual.get("augmentation", Augmentation())
    return msgspec.convert(usual, Augmentation)


def _usual(architecture: Architecture) -> dict[str, Any]:
    fixed = {"epochs": ESTIMATOR_EPOCHS} if architecture.kind == ESTIMATOR else {}
    return {**architecture.usual, **fixed}


def _check_belongs(architecture: Architecture, wishes: Mapping[str, Any], version: DatasetVersion) -> None:
    """Refuse what would be ignored: a field that the architecture does not read, another task or version."""
    for name, right in (("task", version.task), ("dataset_version", version.digest)):
        if wishes.get(name, right) != right:
            raise RecipeError(f"the recipe's {name} is {str(wishes[name])[:64]!r}, expected {right!r}")
    if architecture.kind == ESTIMATOR:
        neutral = Recipe(task=version.task, dataset_version=version.digest, architecture=architecture.name, epochs=ESTIMATOR_EPOCHS)
        plain = msgspec.to_builtins(neutral)
        for name in sorted(NETWORK_FIELDS & set(wishes)):
            if wishes[name] is not None and wishes[name] != plain[name]:
                raise RecipeError(f"{name} means nothing to {architecture.name}, which is fitted in one go")


def _checked(fields: Mapping[str, Any]) -> Recipe:
    try:
        recipe = msgspec.convert(msgspec.to_builtins(fields), Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"the recipe is not valid: {error}") from error
    faults = recipe_faults(recipe)
    if faults:
        raise RecipeError("the recipe is not valid: " + "; ".join(faults))
    return recipe
