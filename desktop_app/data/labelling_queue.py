"""The labelling queue: samples that a person should look at, with what a model said of them."""

import hashlib

from desktop_app.data.blobs import BlobWriter
from desktop_app.data.catalogue import Sample, SampleQuery, find_sample, get_sample, list_samples, set_label
from desktop_app.data.formats.image_files import UnusableImageError, check_image
from desktop_app.data.plain_names import plain_name
from desktop_app.data.project import Project
from desktop_app.errors import DataError

SOURCES = ("try", "device")


def queue_image(
    project: Project, body: bytes, *, name: str, predicted: str | None = None, predicted_score: float | None = None, source: str = "try"
) -> Sample:
    """Put an image into the queue; one the project has already is queued as it is, with its label.

    `source` says where it comes from: `try` (the Try panel) or `device`.

    Raises:
        DataError: the bytes are no usable image, or the source is unknown.
    """
    if source not in SOURCES:
        raise DataError(f"samples come to the queue from {' or '.join(SOURCES)}, not from {source!r}")
    try:
        width, height = check_image(body)
    except UnusableImageError as error:
        raise DataError(f"{plain_name(name)} can not be queued: {error}") from error
    sha256 = hashlib.sha256(body).hexdigest()
    writer = BlobWriter(project)
    writer.write(sha256, body)
    writer.flush()
    values = [sha256, sha256, plain_name(name), width, height, len(body), source, predicted, predicted_score]
    with project.transaction() as db:
        db.conn.execute(
            "INSERT INTO samples (sha256, group_key, name, width, height, size_bytes, source, predicted, predicted_score, queued)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (sha256, occurrence) DO UPDATE"
            " SET queued = 1, predicted = excluded.predicted, predicted_score = excluded.predicted_score",
            values,
        )
    sample = find_sample(project, sha256)
    if sample is None:
        raise DataError("the sample that was just queued is gone: another program changed the project")
    return sample


def list_queue(project: Project, limit: int = 200) -> list[Sample]:
    """What waits, the least certain prediction first."""
    return list_samples(project, query=SampleQuery(queued=True, excluded=False, order="score"), limit=limit)


def resolve(project: Project, sample_id: int, label: str) -> Sample:
    """A person says what it is: it leaves the queue and is a labelled sample. Can be undone.

    Raises:
        DataError: there is no such sample, or the label is not valid.
    """
    set_label(project, [sample_id], label)
    return get_sample(project, sample_id)
