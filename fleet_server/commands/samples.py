"""`eyelet-fleet samples …`: the field samples that devices sent because an operator asked."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fleet_server.commands.asking import asks_server, print_json, print_table

if TYPE_CHECKING:
    from contract.samples import SampleView
    from fleet_server.client import FleetClient

PAGE = 500
_FILTERS = (
    ("--device", "Of one device only."),
    ("--application", "Of one application only."),
    ("--model", "Of one model only."),
    ("--label", "Only what the model called so."),
    ("--reason", "Only what was kept for this reason: 'low score', random, disagreement, asked."),
    ("--command", "Only what came as the answer to this command."),
)


@click.group()
def samples() -> None:
    """List, download and delete field samples that devices sent.

    Devices send samples only as the answer to `eyelet-fleet command send … --kind upload_samples`.
    """


def _filtered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters; they come as one dictionary `query`."""

    @functools.wraps(function)
    def filtered(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        query = {name: options.pop(name) for name in ("device", "application", "model", "label", "reason", "below_score")}
        query["command_id"] = options.pop("command")
        return function(*arguments, query=query, **options)

    for name, text in _FILTERS:
        filtered = click.option(name, default="", help=text)(filtered)
    return click.option("--below-score", default=0.0, help="Only those with a lower score.  [default: all]")(filtered)


def _all(client: "FleetClient", query: dict[str, Any], limit: int = 0) -> "Iterator[SampleView]":
    """The samples page by page, oldest first; `limit` 0: all."""
    from contract.samples import SampleView

    after, left = 0, limit or -1
    while left and (page := client.get("/v1/samples", list[SampleView], after=after, limit=PAGE if left < 0 else min(PAGE, left), **query)):
        yield from page
        after, left = page[-1].id, left - len(page) if left > 0 else left


@samples.command(name="list")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1))
@_filtered
@asks_server
def list_command(client: "FleetClient", limit: int, query: dict[str, Any], as_json: bool) -> None:
    """List the samples, oldest first."""
    found = list(_all(client, query, limit))
    if as_json:
        print_json(found)
        return
    columns = ("id", "device", "kept", "application", "model", "label", "score", "reason", "bytes")
    print_table(columns, [_row(view) for view in found], "no sample is here")


def _row(view: "SampleView") -> tuple[object, ...]:
    line = view.line
    model = f"{line.model} {line.version}"
    return (view.id, view.device, line.at, line.application, model, line.label, line.score, line.reason, line.size_bytes)


@samples.command(name="download")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_filtered
@asks_server
def download(client: "FleetClient", folder: Path, query: dict[str, Any], as_json: bool) -> None:
    """Write each sample into FOLDER as DIGEST.png (or .npz) with its line beside it, DIGEST.json. What is there is not fetched again."""
    from contract.codec import encode
    from contract.files import sha256_of, write_atomic
    from contract.samples import SAMPLE_MAX_BYTES
    from fleet_server.errors import FleetError

    fetched = present = 0
    for view in _all(client, query):
        target = folder / f"{view.sha256}.{'npz' if view.line.file.endswith('.npz') else 'png'}"
        if target.is_file() and target.stat().st_size == view.line.size_bytes:
            present += 1
            continue
        data = client.fetch(f"/v1/samples/{view.id}/data", SAMPLE_MAX_BYTES)
        if sha256_of(data) != view.sha256:
            raise FleetError(f"sample {view.id} came damaged", "Run the command again; what is there is not fetched again.")
        write_atomic(target.with_suffix(".json"), encode(view) + b"\n")
        write_atomic(target, data)
        fetched += 1
    if as_json:
        print_json({"fetched": fetched, "present": present, "folder": str(folder)})
    else:
        click.echo(f"{fetched} fetched into {folder}{f', {present} were there' if present else ''}")


@samples.command(name="delete")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@click.option("--matching", is_flag=True, help="Delete all that match the filters (without a filter: every sample).")
@_filtered
@asks_server
def delete(client: "FleetClient", ids: tuple[int, ...], matching: bool, query: dict[str, Any], as_json: bool) -> None:
    """Delete samples from the server by ID, or those that match."""
    from contract.samples import SampleView

    if bool(ids) == matching:
        raise click.UsageError("name the samples' ids, or say --matching")
    wanted = ids or tuple(view.id for view in _all(client, query))
    for sample_id in wanted:
        client.delete(f"/v1/samples/{sample_id}", SampleView)
    if as_json:
        print_json({"deleted": len(wanted)})
    else:
        click.echo(f"{len(wanted)} deleted")
