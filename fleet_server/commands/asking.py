"""What the asking commands share: how to name a server, how to print, how to fail in one sentence."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from fleet_server.client import Naming

Command = Callable[..., Any]
PIPE_COLUMNS = 240


def asks_server(command: Command) -> Command:
    """Give a command `--server`, `--token-file`, `--data`, `--json`, and a client as its first argument."""

    @functools.wraps(command)
    def asking(**options: Any) -> Any:  # noqa: ANN401
        from contract.errors import ContractError
        from fleet_server.client import FleetClient, find_access
        from fleet_server.errors import FleetError

        given = {name: options.pop(name) for name in ("server", "token_file", "data")}
        try:
            client = FleetClient(find_access(*_by_place(given)))
            try:
                return command(client, **options)
            finally:
                client.close()
        except (FleetError, ContractError) as error:
            advice = getattr(error, "advice", "")
            raise click.ClickException(f"{error}{'. ' + advice if advice else ''}") from error

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="EYELET_FLEET_DATA",
            help="Data folder of a server on this machine.",
        ),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="EYELET_TOKEN_FILE",
            help="File with the operator's token.",
        ),
        click.option("--server", default="", envvar="EYELET_SERVER", help="URL of the server."),
    ):
        asking = option(asking)
    return asking


def _by_place(given: dict[str, Any]) -> "tuple[Naming, Naming]":
    """What the options say of the server, and what the environment says: never a mixture."""
    from click.core import ParameterSource

    from fleet_server.client import Naming

    context = click.get_current_context()
    said = {name: value for name, value in given.items() if value}
    there = {name: value for name, value in said.items() if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT}
    here = {name: value for name, value in said.items() if name not in there}
    return Naming("the options", **here), Naming("the environment variables EYELET_…", **there)


def print_json(document: object) -> None:
    """Print a document of the contract as indented JSON."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print rows under headers; numbers go right. `empty` is said where there are none."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(show(cell)) for cell in row))
    console().print(table)


def console() -> "Console":
    """A console; what goes into a pipe or file is not folded at 80 columns."""
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def show(cell: object) -> str:
    """A cell as plain text; a dash for nothing."""
    if cell is None or cell == "":
        return "–"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
