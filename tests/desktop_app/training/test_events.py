from desktop_app.training.events import EVENTS_NAME, append_event, curve_of, read_events


def test_a_torn_last_line_is_left_out(tmp_path) -> None:
    append_event(tmp_path, "epoch", epoch=1, train_loss=0.5)
    with (tmp_path / EVENTS_NAME).open("ab") as file:
        file.write(b'{"at":"2026-11-24T00:00:00.000Z","kind":"epo')
    assert [event["epoch"] for event in read_events(tmp_path)] == [1]


def test_lines_after_a_torn_one_count(tmp_path) -> None:
    (tmp_path / EVENTS_NAME).write_bytes(b'{"kind":"epo\n')
    append_event(tmp_path, "epoch", epoch=2, train_loss=0.5)
    assert [event["epoch"] for event in read_events(tmp_path)] == [2]


def test_no_events_yet(tmp_path) -> None:
    assert read_events(tmp_path) == []
    assert curve_of([], 5).best is None


def test_an_epoch_trained_twice_counts_as_the_later_time() -> None:
    rows = [
        {"kind": "started", "at": "x"},
        {"kind": "epoch", "at": "x", "epoch": 1, "train_loss": 1.0, "best": True},
        {"kind": "epoch", "at": "x", "epoch": 2, "train_loss": 0.9},
        {"kind": "epoch", "at": "x", "epoch": 2, "train_loss": 0.8, "best": True},
    ]
    curve = curve_of(rows, 4)
    assert [(point.epoch, point.train_loss) for point in curve.points] == [(1, 1.0), (2, 0.8)]
    assert curve.epochs == 4
    assert curve.best is not None
    assert curve.best.epoch == 2
