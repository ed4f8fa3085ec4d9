"""`eyelet-studio new`: make an empty project."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result
from desktop_app.data.project import TASK_NAMES, create_project


@click.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the project.  [default: the folder's name]")
@click.option("--task", type=click.Choice(TASK_NAMES), default=TASK_NAMES[0], show_default=True)
@json_option
def command(folder: Path, name: str | None, task: str, as_json: bool) -> None:
    """Make an empty project in FOLDER."""
    with create_project(folder, name or folder.absolute().name, task) as project:
        data = {"folder": folder, "id": project.id, "name": project.name, "task": project.task}
        print_result(data, f"made the project {project.name!r} for {project.task} in {folder}", as_json=as_json)
