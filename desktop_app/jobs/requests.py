"""Every job as a frozen request, and the table that says which function does it.

A job holds all its inputs as plain data and never a secret: passphrases and tokens travel beside
it (`start_job(secrets=…)`), through a pipe, so that a job can be logged, shown and repeated.

A new job is one struct and one line in `JOBS`. The function is
`function(project: Project, job, context: JobContext) -> anything msgspec encodes`.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Annotated, Any, Union, cast

import msgspec

from desktop_app.errors import JobError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="job"):
    """Base of all jobs; the tag names the job on the wire."""


class ImportJob(Job, frozen=True, tag="import"):
    """Import a folder or a table into the project.

    `format` names an entry of `FORMATS` (empty: found by looking); `options` are those of
    `desktop_app.data.importing.ImportOptions`.
    """

    path: str
    format: str = ""
    options: dict[str, Any] = {}


class AcceptanceJob(Job, frozen=True, tag="acceptance"):
    """Freeze the acceptance set."""

    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 100
    seed: int = 0


class FreezeJob(Job, frozen=True, tag="freeze"):
    """Freeze a dataset version; `shares` are those of train, validation and test."""

    seed: int = 0
    shares: tuple[Share, Share, Share] = (0.7, 0.15, 0.15)


class TrainJob(Job, frozen=True, tag="train"):
    """Train by `recipe` (the JSON of `desktop_app.training.recipe.Recipe`), or go on with the run `run_id`."""

    recipe: dict[str, Any] = {}
    run_id: str | None = None


class EvaluateJob(Job, frozen=True, tag="evaluate"):
    """Evaluate a run on one split of its dataset version."""

    run: str
    split: str = "test"


class ConvertJob(Job, frozen=True, tag="convert"):
    """Convert a run to `targets` (variant names; empty: the task's usual ones); losses are in points of accuracy (1.0 = 0.01)."""

    run: str
    targets: tuple[str, ...] = ()
    max_loss: float = 1.0
    max_class_loss: float | None = None


class PackageJob(Job, frozen=True, tag="package"):
    """Build and sign a package of a converted run; secret: `passphrase` of the keys.

    `version` None is the next number; `key` empty is the model's own key; `gate_override` says why
    a failed gate is overridden.
    """

    run: str
    model: str
    keys_folder: str
    version: int | None = None
    key: str = ""
    gate_override: str = ""


class PublishJob(Job, frozen=True, tag="publish"):
    """Publish a package to a fleet server; secrets: `passphrase` of the keys, `token` of the operator."""

    package: str
    server: str
    keys_folder: str
    options: dict[str, Any] = {}


JOBS: dict[type[Job], str] = {
    ImportJob: "desktop_app.data.importing:run_import_job",
    AcceptanceJob: "desktop_app.data.acceptance_set:run_acceptance_job",
    FreezeJob: "desktop_app.data.versions:run_freeze_job",
    TrainJob: "desktop_app.training.loop:train",
    EvaluateJob: "desktop_app.evaluation.evaluate:evaluate",
    ConvertJob: "desktop_app.release.conversion:convert_run",
    PackageJob: "desktop_app.release.package_building:build_run_package",
    PublishJob: "desktop_app.release.publishing:run_publish_job",
}

JobFunction = Callable[..., Any]


def job_name(job: Job) -> str:
    """The tag of a job, e.g. `import`."""
    return str(type(job).__struct_config__.tag)


def decode_job(data: bytes) -> Job:
    """Read a job from its JSON.

    Raises:
        JobError: unknown tag, unknown field or wrong type.
    """
    try:
        return cast("Job", _decoder(tuple(JOBS)).decode(data))
    except msgspec.DecodeError as error:
        raise JobError(f"the job's request is not valid: {error}") from error


@functools.lru_cache(maxsize=4)
def _decoder(kinds: tuple[type[Job], ...]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(Union[kinds])


def find_function(job: Job) -> JobFunction:
    """Import the function that does a job.

    Raises:
        JobError: no such job, or its module is not part of this installation.
    """
    target = JOBS.get(type(job))
    if target is None:
        raise JobError(f"there is no job {job_name(job)!r}; known jobs: {', '.join(sorted(str(k.__struct_config__.tag) for k in JOBS))}")
    module_name, _, attribute = target.partition(":")
    try:
        return cast("JobFunction", getattr(importlib.import_module(module_name), attribute))
    except ModuleNotFoundError as error:
        advice = "Install the studio whole: pip install 'eyelet-edge[studio]'."
        raise JobError(f"the job {job_name(job)!r} needs the module {error.name!r}, which is not installed", advice) from error
    except AttributeError as error:
        raise JobError(f"the job {job_name(job)!r} is not part of this installation ({target} is missing)") from error
