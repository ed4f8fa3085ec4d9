"""What all verbs share at the terminal: options, running a job with progress, printing a result."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from desktop_app.errors import JobCancelledError, JobError
from desktop_app.jobs.events import Done, Event, Failed, Message, Metric, Progress
from desktop_app.jobs.process import JobProcess, start_job
from desktop_app.jobs.requests import Job

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_KEYS_FOLDER = Path("~/.config/eyelet/keys")

project_option = click.option(
    "--project",
    "-p",
    envvar="EYELET_PROJECT",
    default=Path(),
    type=click.Path(path_type=Path),
    help="Project folder.  [default: the current folder]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def keys_option(function: F) -> F:
    """Add `--keys`; the value reaches the function expanded."""
    return click.option(
        "--keys",
        "keys_folder",
        envvar="EYELET_KEYS",
        default=DEFAULT_KEYS_FOLDER,
        type=click.Path(path_type=Path),
        callback=lambda _context, _parameter, value: value.expanduser(),
        help="Folder of the signing keys.  [default: ~/.config/eyelet/keys]",
    )(function)


def ask_passphrase(*, confirm: bool = False) -> str:
    """The passphrase of the keys: from EYELET_PASSPHRASE, or asked for without showing it."""
    given = os.environ.get("EYELET_PASSPHRASE")
    if given:
        return given
    return str(click.prompt("Passphrase of the keys", hide_input=True, confirmation_prompt=confirm, err=True))


def print_result(data: object, text: str, *, as_json: bool) -> None:
    """Print `data` as JSON (structs and paths allowed) or `text`."""
    if as_json:
        encoded = msgspec.json.encode(data, enc_hook=lambda value: os.fspath(value))  # noqa: PLW0108  (a hook is called by position)
        text = msgspec.json.format(encoded, indent=2).decode()
    click.echo(text)


def run_job(project_folder: Path, job: Job, *, secrets: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
    """Run a job in its child process with progress on standard error; returns its result as plain data.

    Ctrl-C cancels the job and interrupts the command (exit code 130).

    Raises:
        JobError: the job failed; the message is the job's.
        JobCancelledError: the job was cancelled from elsewhere.
    """
    with start_job(project_folder, job, secrets=secrets) as process, show_progress() as on_event:
        return _follow(process, on_event)


def _follow(process: JobProcess, on_event: Callable[[Event], None]) -> Any:  # noqa: ANN401
    for event in process:
        on_event(event)
    outcome = process.wait()
    if isinstance(outcome, Done):
        return outcome.result
    if isinstance(outcome, Failed):
        if os.environ.get("EYELET_DEBUG"):
            click.echo(outcome.details, err=True)
        raise JobError(outcome.error, outcome.advice)
    raise JobCancelledError("the job was cancelled")


@contextlib.contextmanager
def show_progress() -> Iterator[Callable[[Event], None]]:
    """A function that shows events on standard error: a bar at a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield PlainProgress().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None, unit="")

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                bar.update(task, completed=event.done, total=event.total or None, description=event.text, unit=event.unit)
            elif text := describe(event):
                bar.console.print(text, markup=False, highlight=False)

        yield show


class PlainProgress:
    """Plain lines: messages, metrics of epochs, and a line of progress at most every five seconds."""

    INTERVAL_S = 5.0

    def __init__(self) -> None:
        self._next = time.monotonic() + self.INTERVAL_S

    def show(self, event: Event) -> None:
        """Print one event, if it is time for it."""
        text = describe(event)
        if isinstance(event, Progress):
            now = time.monotonic()
            if now < self._next:
                return
            self._next = now + self.INTERVAL_S
            text = f"{event.text} {event.done}/{event.total or '?'} {event.unit}".strip()
        if text:
            click.echo(text, err=True)


def describe(event: Event) -> str:
    """One line for an event that is worth one, else nothing."""
    if isinstance(event, Message):
        return event.text
    if isinstance(event, Metric) and event.epoch is not None and event.step is None:
        return f"epoch {event.epoch}: {event.split} {event.name} {event.value:.4g}".replace("  ", " ")
    return ""
