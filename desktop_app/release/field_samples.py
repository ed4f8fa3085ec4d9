"""Bring a fleet's field samples into the project: each new image waits in the labelling queue, with what the device's model said."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from contract.files import sha256_of
from contract.samples import SampleView
from desktop_app.data.catalogue import find_sample
from desktop_app.data.formats.source import Refused
from desktop_app.data.labelling_queue import queue_image
from desktop_app.data.plain_names import plain_name
from desktop_app.data.project import Project
from desktop_app.errors import DataError
from desktop_app.release.server_client import ServerClient

IMAGE_TASK = "image-classification"
PAGE = 500


class SampleFilter(NamedTuple):
    """Which of the fleet's samples to bring; empty does not restrict."""

    device: str = ""
    application: str = ""
    model: str = ""
    below_score: float = 0.0


EVERY_SAMPLE = SampleFilter()


class FieldReport(msgspec.Struct, frozen=True):
    """What came: `queued` samples are new, `present` ones the project had already (whatever became of them)."""

    queued: int
    present: int
    refused: tuple[Refused, ...]


def bring_field_samples(
    client: ServerClient, project: Project, wanted: SampleFilter = EVERY_SAMPLE, progress: Callable[[int], None] = lambda _done: None
) -> FieldReport:
    """Queue what the project does not have yet; can be broken off and run again. `progress` hears how many were looked at.

    Raises:
        DataError: the project's task takes no images.
        ServerError: the server can not be reached, or refuses.
    """
    if project.task != IMAGE_TASK:
        raise DataError(f"field samples come to the labelling queue as images; the project is for {project.task}")
    queued = present = 0
    refused: list[Refused] = []
    for done, view in enumerate(_list_all(client, wanted), 1):
        progress(done)
        if find_sample(project, view.sha256) is not None:
            present += 1
        elif reason := _queue(client, project, view):
            refused.append(Refused(_name_of(view), reason))
        else:
            queued += 1
    return FieldReport(queued, present, tuple(refused))


def _list_all(client: ServerClient, wanted: SampleFilter) -> Iterator[SampleView]:
    after = 0
    while page := client.list_samples(after=after, limit=PAGE, **wanted._asdict()):
        yield from page
        after = page[-1].id


def _queue(client: ServerClient, project: Project, view: SampleView) -> str:
    """Fetch and queue one sample; returns why it was refused, empty where it was not."""
    line = view.line
    if not line.file.endswith(".png"):
        return "it is no image"
    body = client.fetch_sample(view.id)
    if body is None:
        return "it was deleted from the server meanwhile"
    if sha256_of(body) != view.sha256:
        return "it came damaged; fetch again"
    try:
        queue_image(
            project, body, name=_name_of(view), predicted=plain_name(line.label) or None, predicted_score=line.score, source="device"
        )
    except DataError as error:
        return str(error)
    return ""


def _name_of(view: SampleView) -> str:
    return f"{view.device}-{view.sha256[:12]}.png"
