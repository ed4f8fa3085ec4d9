import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from contract.errors import SizeError
from contract.files import read_plain
from contract.samples import LINE_MAX_BYTES, FieldSample
from edge_agent.capture.store import FieldSampleStore, discard, list_samples

LINE = FieldSample(1, "2026-01-01T00:00:00.000Z", "door", 1, "digits", 1, "onnx-float32", "a.png", "red", 0.4, [0.4, 0.3, 0.3], "random")
RESERVE = LINE_MAX_BYTES // 16


def numbers(folder: Path) -> list[int]:
    return [kept.number for kept in list_samples(folder)]


def test_a_sample_is_a_file_and_a_line_that_vouches_for_it(tmp_path: Path) -> None:
    FieldSampleStore(tmp_path / "main", 1 << 20).add(b"pixels", "png", LINE)
    (kept,) = list_samples(tmp_path / "main")
    assert kept.path.read_bytes() == b"pixels"
    line = json.loads((tmp_path / "main" / "1.json").read_text())
    assert (line["file"], line["size_bytes"], line["sha256"]) == ("1.png", 6, hashlib.sha256(b"pixels").hexdigest())
    assert (line["reason"], line["label"], line["schema_version"]) == ("random", "red", 1)
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_the_oldest_goes_first_and_ten_comes_after_eight(tmp_path: Path) -> None:
    store = FieldSampleStore(tmp_path, 12 * 1000 + RESERVE)
    for number in range(1, 31):
        assert store.add(bytes(700), "npz", LINE) == number
        assert store.size_bytes <= 12 * 1000 + RESERVE
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) == store.size_bytes
        kept = numbers(tmp_path)
        assert kept == list(range(kept[0], number + 1))  # 9, 10, 11: without a gap and in the order of numbers
    assert numbers(tmp_path)[0] > 10


def test_numbers_go_on_after_a_restart_and_a_lower_cap_is_kept_to_at_once(tmp_path: Path) -> None:
    store = FieldSampleStore(tmp_path, 1 << 20)
    for _ in range(12):
        store.add(bytes(1000), "png", LINE)
    again = FieldSampleStore(tmp_path, 6000)
    assert again.size_bytes <= 6000
    assert numbers(tmp_path) == [9, 10, 11, 12]
    assert FieldSampleStore(tmp_path, 1 << 20).add(b"x", "png", LINE) == 13


def test_what_a_power_cut_left_half_is_deleted(tmp_path: Path) -> None:
    store = FieldSampleStore(tmp_path, 1 << 20)
    for _ in range(4):
        store.add(b"whole", "png", LINE)
    (tmp_path / "2.png").write_bytes(b"")  # the name reached the flash, the bytes did not
    (tmp_path / "3.json").write_bytes(b"\0" * 40)
    (tmp_path / "5.png").write_bytes(b"no line")
    (tmp_path / ".99-6.png.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("the owner's")
    assert numbers(tmp_path) == [1, 4]
    again = FieldSampleStore(tmp_path, 1 << 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "1.png", "4.json", "4.png", "notes.txt"]
    assert again.add(b"next", "png", LINE) == 6


def test_two_workers_that_overlap_never_take_the_same_number(tmp_path: Path) -> None:
    old, new = FieldSampleStore(tmp_path, 1 << 20), FieldSampleStore(tmp_path, 1 << 20)
    given = [store.add(str(index).encode(), "png", LINE) for index, store in enumerate([old, new, new, old, old, new])]
    assert len(set(given)) == 6
    assert [kept.path.read_bytes() for kept in list_samples(tmp_path)] == [
        str(index).encode() for index, _ in sorted(enumerate(given), key=lambda pair: pair[1])
    ]


def test_what_alone_is_above_the_cap_is_not_kept_and_deletes_nothing(tmp_path: Path) -> None:
    store = FieldSampleStore(tmp_path, 8000)
    store.add(bytes(1000), "png", LINE)
    assert store.add(bytes(9000), "png", LINE) is None
    assert numbers(tmp_path) == [1]


def test_a_line_can_not_name_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "secret.png").write_bytes(b"abc")
    for name in ("../secret.png", "2.png", "/etc/hostname"):
        (tmp_path / "kept" / "1.json").write_text(json.dumps({**json.loads(_line()), "file": name, "size_bytes": 3}))
        assert list_samples(tmp_path / "kept") == []


def _line() -> str:
    import msgspec

    return msgspec.json.encode(LINE).decode()


def test_a_sample_can_be_discarded_and_a_full_disk_is_told(tmp_path: Path) -> None:
    store = FieldSampleStore(tmp_path / "main", 1 << 20)
    store.add(b"x", "png", LINE)
    discard(tmp_path / "main", 1)
    assert list((tmp_path / "main").iterdir()) == []
    (tmp_path / "main").rmdir()
    with pytest.raises(OSError, match="main"):
        store.add(b"x", "png", LINE)


def test_two_processes_that_keep_samples_side_by_side_hold_the_cap_together(tmp_path: Path) -> None:
    cap = 12 * 1000 + RESERVE
    serving, candidate = FieldSampleStore(tmp_path, cap), FieldSampleStore(tmp_path, cap)
    for _ in range(20):
        serving.add(bytes(700), "npz", LINE)
        candidate.add(bytes(700), "npz", LINE)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= cap
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 41)), "no number twice, the oldest first"


def test_what_was_discarded_by_another_process_makes_room(tmp_path: Path) -> None:
    store = FieldSampleStore(tmp_path, 1 << 20)
    for _ in range(3):
        store.add(bytes(700), "npz", LINE)
    discard(tmp_path, 2)
    store.add(bytes(700), "npz", LINE)
    assert numbers(tmp_path) == [1, 3, 4]
    assert store.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_a_link_or_a_pipe_in_the_place_of_a_line_is_no_sample(tmp_path: Path) -> None:
    """A worker of another user writes here; what it may not read the supervisor must not read for it."""
    (tmp_path / "secret").write_bytes(b"{}")
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "1.json").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "2.json")
    (folder / "3.json").mkdir()
    assert list_samples(folder) == []
    with pytest.raises(OSError, match=r"1\.json"):
        read_plain(folder / "1.json", 100)
    with pytest.raises(OSError, match="no plain file"):
        read_plain(folder / "2.json", 100)
    with pytest.raises(SizeError):
        read_plain(tmp_path / "secret", 1)
    assert read_plain(tmp_path / "secret", 2) == b"{}"
