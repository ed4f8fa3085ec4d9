"""What capture process and worker say to each other over the doorbell: small msgpack messages, one per ring."""

from typing import TypeVar

import msgspec

from contract.manifest import TensorSpec

MESSAGE_MAX_BYTES = 16 * 1024
NAME_MAX, TEXT_MAX = 1024, 1500
"""Characters; four bytes each at most, so that every message fits."""
T = TypeVar("T")


class CaptureRequest(msgspec.Struct, frozen=True):
    """What the supervisor asks of a capture process: the source of an application's document, and the model's inputs.

    Relative paths are taken from `data_folder`. `plain`: no slots, samples go over the doorbell whole.
    """

    kind: str
    options: bytes  # JSON, as in the document
    inputs: tuple[TensorSpec, ...]
    data_folder: str
    plain: bool = False


class Ring(msgspec.Struct, frozen=True, array_like=True, tag=lambda name: name.lower()):
    """Root of all messages."""


# to the worker


class Hello(Ring, frozen=True):
    """The first message of a capture process on a connection; `epoch` is its own random number."""

    epoch: int


class Pool(Ring, frozen=True):
    """Comes with the descriptor of the slots' memory; later frames lie there."""

    size_bytes: int


class Tensor(msgspec.Struct, frozen=True, array_like=True):
    """One array of a sample. `offset` counts from the begin of the slots' memory, or of the payload where there are no slots."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Frame(Ring, frozen=True):
    """One sample. `captured_ns` is of the monotonic clock, when it was taken from the source."""

    epoch: int
    sequence: int
    name: str
    tensors: tuple[Tensor, ...]
    captured_ns: int


class Dropped(Ring, frozen=True):
    """Samples that were lost."""

    name: str
    reason: str
    amount: int


class Notice(Ring, frozen=True):
    """The source has trouble, or is over it."""

    text: str
    failed: bool


class Ended(Ring, frozen=True):
    """Nothing more comes; `error` says why where the source failed."""

    error: str


class Left(Ring, frozen=True):
    """Answer to `Leave`: the last message on this connection."""


# from the worker


class Want(Ring, frozen=True):
    """The worker is free for a frame; with it, the slot of the frame `sequence` is free again (0: it had none)."""

    epoch: int
    sequence: int


class Leave(Ring, frozen=True):
    """The worker takes no more than what was rung already."""


ToReader = Hello | Pool | Frame | Dropped | Notice | Ended | Left
FromReader = Want | Leave

_ENCODER = msgspec.msgpack.Encoder()
_TO_READER: msgspec.msgpack.Decoder[ToReader] = msgspec.msgpack.Decoder(ToReader)
_FROM_READER: msgspec.msgpack.Decoder[FromReader] = msgspec.msgpack.Decoder(FromReader)


def encode_ring(message: Ring) -> bytes:
    """The bytes of one message."""
    return _ENCODER.encode(message)


def decode_to_reader(data: bytes) -> ToReader:
    """A message to a worker; raises msgspec.DecodeError."""
    return _TO_READER.decode(data)


def decode_from_reader(data: bytes) -> FromReader:
    """A message from a worker; raises msgspec.DecodeError."""
    return _FROM_READER.decode(data)
