"""`eyelet-agent`: the command line, a table of names that imports a command only when it is called."""

import atexit
import gc
import importlib
import sys
from collections.abc import Mapping
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """One row: where the command lives and what `--help` says of it."""

    target: str
    help: str
    hidden: bool = False


COMMANDS: Mapping[str, Entry] = {
    "enroll": Entry("edge_agent.commands.enroll:enroll", "Enrol this device with a claim token."),
    "run": Entry("edge_agent.commands.run:run", "Serve, follow the fleet's wishes and report, until stopped."),
    "predict": Entry("edge_agent.commands.predict:predict", "Answer for files with a package or with the installed model."),
    "install": Entry("edge_agent.commands.install:install", "Install a package without a fleet."),
    "tune": Entry("edge_agent.commands.tune:tune", "Measure variants and threads on this device and keep the best."),
    "trust": Entry("edge_agent.commands.trust:trust", "List, add or remove keys that may sign lone packages."),
    "doctor": Entry("edge_agent.commands.doctor:doctor", "Say in words what is wrong on this device and what to do."),
    "child": Entry("edge_agent.commands.child:child", "Be a child process of the agent.", hidden=True),
}


class LazyGroup(click.Group):
    """A group whose commands are rows of a table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Names in the table's order."""
        return [name for name, entry in COMMANDS.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's signature)
        """Import the command's module."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="eyelet-edge")
def agent() -> None:
    """The Eyelet agent: runs signed models on this device, by itself or as part of a fleet."""


def main() -> None:
    """Entry point: errors are one sentence, Ctrl-C ends with 130."""
    atexit.register(gc.freeze)  # what goes anyway is not looked through for garbage: a quarter of a short command's time
    try:
        outcome = agent.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    sys.exit(outcome if isinstance(outcome, int) else 0)  # click returns the code of an Exit instead of raising it


if __name__ == "__main__":
    main()
