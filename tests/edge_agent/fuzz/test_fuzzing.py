"""The fuzzer itself: it finds what it is there to find, and gives the same bytes again."""

import contextlib
import logging
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge_agent.fuzz.doors import DOORS
from tests.edge_agent.fuzz.fuzzing import Door, FuzzError, Opened, again, fuzz
from tests.edge_agent.fuzz.mutations import MAX_BYTES, mutate

HOARD: list[bytes] = []


class Refused(Exception):
    """A refusal without words."""


def careless(take: Callable[[bytes], str], *refusals: type[Exception]) -> Door:
    @contextlib.contextmanager
    def open_door(_folder: Path) -> Iterator[Opened]:
        yield Opened([b'{"a":1}'], take, refusals)

    return Door("careless", open_door)


def raise_another(data: bytes) -> str:
    raise KeyError(data)


def refuse_silently(_data: bytes) -> str:
    raise Refused


def hoard(_data: bytes) -> str:
    HOARD.append(os.urandom(1 << 20))
    return ""


def complain(_data: bytes) -> str:
    try:
        raise_another(b"")
    except KeyError:
        logging.getLogger("any").exception("oh")
    return ""


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (raise_another, "lets out KeyError"),
        (refuse_silently, "without words"),
        (hoard, "the process grew by"),
        (complain, "logs a traceback: oh"),
    ],
)
def test_a_careless_door_is_found_out(take: Callable[[bytes], str], words: str, tmp_path: Path) -> None:
    with pytest.raises(FuzzError, match=words):
        fuzz(careless(take, Refused), tmp_path, rounds=120, seconds=60)
    HOARD.clear()


def test_open_descriptors_are_counted(tmp_path: Path) -> None:
    opened: list[int] = []
    door = careless(lambda _: str(opened.append(os.open(os.devnull, os.O_RDONLY)) or ""))
    with pytest.raises(FuzzError, match="descriptors were left open"):
        fuzz(door, tmp_path, rounds=8, seconds=60)
    for descriptor in opened:
        os.close(descriptor)


def test_what_others_left_open_is_not_held_against_a_door(tmp_path: Path) -> None:
    left = [socket.create_server(("127.0.0.1", 0))]
    left.append(left)  # type: ignore[arg-type]  (only the collector finds it)
    del left
    assert fuzz(careless(lambda _: ""), tmp_path, rounds=1, seconds=60).rounds == 1


@given(st.binary(max_size=300), st.integers())
def test_a_mutation_is_bytes_of_bounded_length_and_the_same_for_the_same_chance(data: bytes, seed: int) -> None:
    first, second = (mutate(data, random.Random(seed)) for _ in range(2))
    assert first == second
    assert len(first) <= MAX_BYTES


def test_a_round_can_be_had_again(tmp_path: Path) -> None:
    seen: list[bytes] = []
    door = careless(lambda data: seen.append(data) or "")
    fuzz(door, tmp_path, rounds=30, seed=5, seconds=60)
    last = seen[-1]
    again(door, tmp_path, seed=5, number=29)
    assert seen[-1] == last


def test_every_door_has_a_name_of_its_own() -> None:
    assert len({door.name for door in DOORS.values()}) == len(DOORS)
