"""`eyelet-studio publish`: publish a package, with its model's acceptance set, to a fleet server or into a folder."""

from pathlib import Path
from typing import Any

import click

from desktop_app.commands.server_options import read_token_for, root_key_option, server_options
from desktop_app.commands.terminal import ask_passphrase, json_option, keys_option, print_result, project_option, run_job, show_progress
from desktop_app.jobs.requests import PublishJob


@click.command("publish")
@click.argument("package", type=click.Path(path_type=Path, exists=True))
@server_options
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Publish into this folder instead: a whole repository.")
@click.option("--min-version", type=click.IntRange(1), help="The lowest version of this model that devices may run from now on.")
@root_key_option
@project_option
@keys_option
@json_option
def command(package: Path, server: str | None, token_file: Path | None, *, folder: Path | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Publish PACKAGE (a folder or a .eyelet file): upload its files, then the signed role that lists it.

    Publishing the same package again changes nothing. A number is never used for other content.
    """
    from desktop_app.release.keys import check_store

    if (folder is None) == (not server):
        raise click.UsageError("say where to: either --server URL or --folder FOLDER")
    secrets = {} if folder else {"token": read_token_for(server, token_file)}
    check_store(options["keys_folder"])
    secrets["passphrase"] = ask_passphrase()
    wishes = {
        "folder": str(folder.absolute()) if folder else "",
        "root_keys": [str(path.absolute()) for path in options["root_keys"]],
        "min_version": options["min_version"],
    }
    job = PublishJob(str(package.absolute()), server or "", str(options["keys_folder"].absolute()), wishes)
    result = _run(options["project"], job, secrets)
    print_result(result, describe(result), as_json=as_json)


def _run(project_folder: Path, job: PublishJob, secrets: dict[str, str]) -> dict[str, Any]:
    """In a child process where there is a project; a lone package from elsewhere is published right here."""
    if (project_folder / "project.json").is_file():
        return dict(run_job(project_folder, job, secrets=secrets))
    import msgspec

    from desktop_app.jobs.context import JobContext
    from desktop_app.release.publishing import publish_job

    with show_progress() as on_event:
        context: JobContext = JobContext(on_event, secrets)
        return dict(msgspec.to_builtins(publish_job(job, context, project_folder=None)))


def describe(result: dict[str, Any]) -> str:
    """What was published, in plain words."""
    sent = f"{result['files_sent']} files sent ({result['bytes_sent'] / 1e6:.1f} MB), {result['files_known']} were there"
    state = "published" if result["new"] else "published again" if result.get("sent_again") else "published already"
    lines = [f"{result['name']} version {result['version']} is {state}: {sent}"]
    if result.get("sent_again"):
        lines.append(f"the server was put back from an older copy; sent again: {', '.join(result['sent_again'])}")
    if result.get("acceptance_minimum") is not None:
        lines.append(f"devices activate it only if it reaches {result['acceptance_minimum']:.1%} on the acceptance set")
    if result.get("min_version"):
        lines.append(f"devices run no version below {result['min_version']}")
    lines += [f"Warning: {warning}" for warning in result.get("warnings", ())]
    return "\n".join(lines)
