"""`eyelet-studio`: the window without an argument, the same verbs as commands with one.

Nothing but the frame is imported here: each verb's module is found through the table when it is
called, so `--help` answers at once.
"""

import atexit
import gc
import importlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


class Verb(NamedTuple):
    """Where a command lives (`module:attribute`) and its line in the help."""

    target: str
    help: str


VERBS: dict[str, Verb] = {
    "new": Verb("desktop_app.commands.new:command", "Make an empty project."),
    "import": Verb("desktop_app.commands.import_:command", "Import a folder of images or a CSV table."),
    "label": Verb("desktop_app.commands.label:command", "List unlabelled and queued samples, set a label, undo."),
    "acceptance": Verb("desktop_app.commands.acceptance:command", "Freeze the acceptance set, before any split."),
    "freeze": Verb("desktop_app.commands.freeze:command", "Split by seed and freeze a dataset version."),
    "versions": Verb("desktop_app.commands.versions:command", "List dataset versions, or compare two."),
    "train": Verb("desktop_app.commands.train:command", "Train a model, or go on with a run."),
    "runs": Verb("desktop_app.commands.runs:command", "List runs."),
    "evaluate": Verb("desktop_app.commands.evaluate:command", "Evaluate a run on a split."),
    "convert": Verb("desktop_app.commands.convert:command", "Convert a run to the device's formats and check what that costs."),
    "package": Verb("desktop_app.commands.package:command", "Build and sign a package of a run."),
    "publish": Verb("desktop_app.commands.publish:command", "Publish a package to a fleet server."),
    "bundle": Verb("desktop_app.commands.bundle:command", "Bundle a version for a USB stick."),
    "application": Verb("desktop_app.commands.application:command", "Publish an application (source, model, rules, sinks)."),
    "claim": Verb("desktop_app.commands.claim:command", "Make a claim token, with which a device enrols once."),
    "withdraw": Verb("desktop_app.commands.withdraw:command", "Take a published version out of the targets."),
    "fetch-samples": Verb("desktop_app.commands.fetch_samples:command", "Bring a fleet's field samples into the labelling queue."),
    "keys": Verb("desktop_app.commands.keys:command", "Make, list, back up and restore the signing keys."),
    "predict": Verb("desktop_app.commands.predict:command", "Ask a package about images or rows, as a device would."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; the help is written from the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs in the order of the work."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb's command.

        Raises:
            click.ClickException: this installation lacks it or something it needs.
        """
        del ctx
        if cmd_name not in VERBS:
            return None
        module_name, _, attribute = VERBS[cmd_name].target.partition(":")
        try:
            found = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            raise click.ClickException(_missing(cmd_name, module_name, error)) from error
        except AttributeError as error:
            raise click.ClickException(f"the verb {cmd_name!r} is broken: {VERBS[cmd_name].target} does not exist") from error
        if not isinstance(found, click.Command):
            raise click.ClickException(f"the verb {cmd_name!r} is broken: {VERBS[cmd_name].target} is no command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs from the table, importing none of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


def _missing(verb: str, module_name: str, error: ModuleNotFoundError) -> str:
    if error.name == module_name:
        return f"the verb {verb!r} is not part of this installation ({module_name} is missing)"
    return f"the verb {verb!r} needs the module {error.name!r}, which is not installed: pip install 'eyelet-edge[studio]'"


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--project",
    envvar="EYELET_PROJECT",
    type=click.Path(path_type=Path),
    help="Project folder that the window opens (a verb has an option of its own).",
)
@click.option("--screenshots", type=click.Path(path_type=Path), metavar="FOLDER", help="Render each page to PNG files, without a screen.")
@click.option("--server", metavar="URL", default="", help="Fleet server that the screenshots show.")
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the operator's token of that server.")
@click.version_option(package_name="eyelet-edge")
@click.pass_context
def command(context: click.Context, project: Path | None, screenshots: Path | None, server: str, token_file: Path | None) -> None:
    """Eyelet studio: from a folder of data to a signed model on a fleet of devices. Without a command: the window."""
    if context.invoked_subcommand is not None:
        return
    if screenshots is not None:
        context.exit(_call("desktop_app.ui.screenshots:render_screenshots", screenshots, project, server, token_file))
    context.exit(_call("desktop_app.ui.app:run_window", project))


def _call(target: str, *arguments: object) -> int:
    """Call a function of the window; it needs the `[studio]` extra and, for a window, a screen."""
    module_name, _, attribute = target.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"the window needs the module {error.name!r}: pip install 'eyelet-edge[studio]'") from error
    return int(function(*arguments) or 0)


def _say(error: Exception) -> int:
    """One sentence, and what to do, on standard error; a traceback only where EYELET_DEBUG is set."""
    if os.environ.get("EYELET_DEBUG"):
        import traceback

        traceback.print_exception(error)
    ours = type(error).__module__.split(".")[0] in {"contract", "converters", "edge_agent", "desktop_app"}
    text = str(error) if ours else f"{type(error).__name__}: {error} (set EYELET_DEBUG=1 for the whole story)"
    click.echo(f"Error: {text}", err=True)
    if advice := getattr(error, "advice", ""):
        click.echo(advice, err=True)
    return EXIT_ERROR


def run(arguments: list[str]) -> int:
    """Run the command line; returns the exit code: 0 well, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        outcome = command.main(arguments, prog_name="eyelet-studio", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_ERROR
    except Exception as error:  # noqa: BLE001  (the border of the program: a sentence, not a traceback)
        return _say(error)
    return outcome if isinstance(outcome, int) else 0


def main() -> None:
    """Entry point of `eyelet-studio`."""
    atexit.register(gc.freeze)  # what goes anyway is not looked through for garbage: a quarter of a short command's time
    if sys.argv[1:] == ["--job-child"]:  # how a frozen program starts a job's child
        from desktop_app.jobs.child import main as child_main

        sys.exit(child_main())
    sys.exit(run(sys.argv[1:]))
