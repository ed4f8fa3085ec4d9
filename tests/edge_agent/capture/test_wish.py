import datetime
from pathlib import Path

import msgspec
import pytest

from contract.application import Application, Source
from contract.codec import format_time
from edge_agent.capture.field_samples import open_field_samples
from edge_agent.capture.store import list_samples
from edge_agent.capture.wish import WISHES_FILE, CaptureWish, WishWatch, save_wish
from edge_agent.settings import Settings
from tests.edge_agent.capture.test_field_samples import ALLOWED, FRAME
from tests.edge_agent.sinks.test_sinks import RECORD

APPLICATION = Application(1, "door", 1, "digits", Source("folder"), ())


def wish(begins_s: float = -1, ends_s: float = 100_000, share: float = 1.0) -> CaptureWish:
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    begun, until = (format_time(now + datetime.timedelta(seconds=seconds)) for seconds in (begins_s, ends_s))
    return CaptureWish(begun, until, share)


@pytest.mark.parametrize(("made", "share"), [(wish(), 1.0), (wish(share=0.25), 0.25), (wish(-100, -1), 0.0), (wish(50_000, 100_000), 0.0)])
def test_a_wish_holds_from_its_beginning_to_its_end(tmp_path: Path, made: CaptureWish, share: float) -> None:
    save_wish(tmp_path, "main", made)
    assert WishWatch(tmp_path, "main").share(0.0) == share
    assert WishWatch(tmp_path, "side").share(0.0) == 0.0


def test_the_worker_sees_a_change_within_a_second(tmp_path: Path) -> None:
    watch = WishWatch(tmp_path, "main")
    assert watch.share(0.0) == 0.0
    save_wish(tmp_path, "main", wish(share=0.5))
    assert [watch.share(now_s) for now_s in (0.9, 1.0)] == [0.0, 0.5]
    (tmp_path / WISHES_FILE).unlink()
    assert [watch.share(now_s) for now_s in (1.9, 2.0)] == [0.5, 0.0]


def test_slots_have_wishes_of_their_own_and_those_that_are_over_go(tmp_path: Path) -> None:
    save_wish(tmp_path, "old", wish(-100, -1))
    save_wish(tmp_path, "main", wish(share=0.5))
    save_wish(tmp_path, "side", wish(share=0.25))
    assert [WishWatch(tmp_path, slot).share(0.0) for slot in ("main", "side")] == [0.5, 0.25]
    assert b"old" not in (tmp_path / WISHES_FILE).read_bytes()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"main":{"begun":"yesterday","until":"x","share":1}}', b"x" * 100_000])
def test_a_damaged_file_is_no_wish_and_the_next_one_replaces_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WISHES_FILE).write_bytes(content)
    assert WishWatch(tmp_path, "main").share(0.0) == 0.0
    save_wish(tmp_path, "main", wish())
    assert WishWatch(tmp_path, "main").share(0.0) == 1.0


def test_it_adds_to_an_application_that_keeps_nothing_and_the_line_says_why(tmp_path: Path) -> None:
    samples = open_field_samples(APPLICATION, ALLOWED, tmp_path, "main")
    assert samples is not None
    assert not samples.offer(FRAME, msgspec.structs.replace(RECORD, source="1.png"), 0.0)
    save_wish(tmp_path, "main", wish())
    assert samples.offer(FRAME, msgspec.structs.replace(RECORD, source="2.png"), 1.0)
    samples.close()
    assert [(kept.line.source, kept.line.reason) for kept in list_samples(tmp_path / "captured" / "main")] == [("2.png", "asked")]


def test_it_never_widens_the_devices_own_policy(tmp_path: Path) -> None:
    save_wish(tmp_path, "main", wish())
    assert open_field_samples(APPLICATION, Settings(), tmp_path, "main") is None
    samples = open_field_samples(APPLICATION, Settings(capture_samples=True, capture_per_hour=2), tmp_path, "main")
    assert samples is not None
    offered = [samples.offer(FRAME, msgspec.structs.replace(RECORD, source=f"{n}.png"), float(n)) for n in range(4)]
    samples.close()
    assert offered == [True, True, False, False]
