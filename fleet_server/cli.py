"""`eyelet-fleet`: run the fleet server, and ask it from the command line."""

import atexit
import gc
import importlib
import sys
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """A command: where it lives and what it does, so that `--help` imports none of them."""

    target: str
    help: str


COMMANDS = {
    "serve": Entry("fleet_server.commands.serve:serve_command", "Run the fleet server."),
    "rotate-keys": Entry("fleet_server.commands.rotate_keys:rotate_keys", "Give a stopped server a new online key and token."),
    "devices": Entry("fleet_server.commands.devices:devices", "List devices, or show one."),
    "revoke": Entry("fleet_server.commands.devices:revoke", "Take a device's credentials away."),
    "models": Entry("fleet_server.commands.models:models", "List registered models and their versions."),
    "rollout": Entry("fleet_server.commands.rollout:rollout", "Create, watch and steer rollouts."),
    "command": Entry("fleet_server.commands.command:command", "Send commands to devices, and see what came of them."),
    "samples": Entry("fleet_server.commands.samples:samples", "List, download and delete field samples that devices sent."),
    "events": Entry("fleet_server.commands.events:events", "Show what devices reported, in order."),
    "audit": Entry("fleet_server.commands.events:audit", "Show who did what and when."),
}


class LazyGroup(click.Group):
    """A group that imports a command only when it runs."""

    entries: dict[str, Entry] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Names in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the help from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.entries.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Run and ask the Eyelet fleet server."""


def main() -> None:
    """Entry point: an error is one sentence on stderr, Ctrl-C ends with 130."""
    atexit.register(gc.freeze)  # what goes anyway is not looked through for garbage: a quarter of a short command's time
    try:
        outcome = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        sys.exit(130)
    sys.exit(outcome if isinstance(outcome, int) else 0)  # click returns the code of an Exit instead of raising it
