"""`eyelet-fleet models [MODEL]`: registered versions; `--alias champion=3` points an alias."""

from typing import TYPE_CHECKING

import click

from fleet_server.commands.asking import asks_server, print_json, print_table

if TYPE_CHECKING:
    from fleet_server.client import FleetClient


@click.command()
@click.argument("model", default="")
@click.option("--alias", default="", metavar="NAME=VERSION", help="Point an alias (champion, candidate) at a version of MODEL.")
@asks_server
def models(client: "FleetClient", model: str, alias: str, as_json: bool) -> None:
    """List registered models, or show MODEL."""
    from contract.rest import AliasRequest, ModelView

    name, _, version = alias.partition("=")
    if alias and (not model or not version.isdigit()):
        raise click.UsageError("--alias needs MODEL and NAME=VERSION, e.g. champion=3")
    if alias:
        found = [client.put(f"/v1/models/{model}/aliases/{name}", AliasRequest(int(version)), ModelView)]
    else:
        found = [client.get(f"/v1/models/{model}", ModelView)] if model else client.get("/v1/models", list[ModelView])
    if as_json:
        print_json(found[0] if model else found)
        return
    rows = [
        (
            view.model,
            version.version,
            ", ".join(version.aliases),
            version.task,
            version.size_bytes // 1024,
            _scores(version.variants),
            version.published_at,
        )
        for view in found
        for version in view.versions
    ]
    print_table(
        ("model", "version", "alias", "task", "kB", "variants (score on the desk)", "published"), rows, "no version is registered yet"
    )


def _scores(variants: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in variants.items())
