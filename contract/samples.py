"""Field samples: the line that goes with each, how one travels to the server, and how the server shows them.

A sample is sent as the body of one PUT: its line (JSON, without a line break in it), a line break, its data.

| method and path | who | body → answer |
|---|---|---|
| GET /v1/uploads/<command> | device | → UploadState |
| PUT /v1/uploads/<command>/<sha256> | device | the sample → UploadState, once it is on the server's disk |
| GET /v1/samples?device=&application=&model=&label=&reason=&command_id=&below_score=&after=&limit= | operator | → list[SampleView] |
| GET /v1/samples/<id>/data; DELETE /v1/samples/<id> | operator | → bytes; SampleView |
"""

from typing import ClassVar, NamedTuple

import msgspec

from contract.errors import FormatError, SizeError
from contract.files import sha256_of
from contract.manifest import Id, Sha256
from contract.rest import Body

LINE_MAX_BYTES = 64 * 1024
SAMPLE_MAX_BYTES = 32 << 20
SAMPLE_CONTENT_TYPE = "application/vnd.eyelet.sample"
SUFFIXES = frozenset({"png", "npz"})


class FieldSample(msgspec.Struct, frozen=True):
    """The JSON line beside a sample's data. `file` is a name in the same folder, `reason` why it was kept."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    at: str
    application: str
    application_version: int
    model: str
    version: int
    variant: str
    source: str
    label: str
    score: float
    scores: list[float]
    reason: str
    file: str = ""
    sha256: str = ""
    size_bytes: int = 0
    candidate_version: int = 0  # in the shadow of `version` it gave another label
    candidate_label: str = ""


class SentSample(NamedTuple):
    """A sample as it came over the wire."""

    line: FieldSample
    data: bytes

    @property
    def suffix(self) -> str:
        """`png` or `npz`."""
        return self.line.file.rpartition(".")[2]


def join_sample(line: FieldSample, data: bytes) -> bytes:
    """A sample as the body of an upload."""
    return msgspec.json.encode(line) + b"\n" + data


def split_sample(body: bytes, sha256: str) -> SentSample:
    """The reverse; the digest of the data is checked.

    Raises:
        SizeError: line or data are larger than their bounds.
        FormatError: there is no line, it is not valid, or the data are not those that it names.
    """
    end = body.find(b"\n", 0, LINE_MAX_BYTES + 1)
    if end < 0:
        raise FormatError(f"the sample does not begin with a line of at most {LINE_MAX_BYTES} bytes")
    data = body[end + 1 :]
    if len(data) > SAMPLE_MAX_BYTES:
        raise SizeError(f"the sample has {len(data)} bytes, at most {SAMPLE_MAX_BYTES} are accepted")
    try:
        line = msgspec.json.decode(body[:end], type=FieldSample)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"the line of the sample is not valid: {error}") from error
    sample = SentSample(line, data)
    if sha256_of(data) != sha256 or line.sha256 != sha256 or line.size_bytes != len(data):
        raise FormatError(f"the data are not those of {sha256[:16]}…: the sample was cut short or is damaged")
    if sample.suffix not in SUFFIXES:
        raise FormatError(f"the sample is a .{sample.suffix[:20]}; accepted are {', '.join(sorted(SUFFIXES))}")
    return sample


class UploadState(Body, frozen=True):
    """How far the answer to one `upload_samples` has come: what the server has of it, and what it still takes."""

    command_id: str
    samples: int
    size_bytes: int
    left: int
    left_bytes: int


class SampleView(Body, frozen=True):
    """A field sample that the server keeps."""

    id: int
    device: Id
    sha256: Sha256
    command_id: str
    received_at: str
    line: FieldSample
