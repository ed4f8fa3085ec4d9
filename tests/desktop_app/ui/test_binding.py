import sys

from PySide6.QtCore import QObject

from desktop_app.ui.binding import keep_constants_alive


def test_many_qt_calls_do_not_use_up_none(qapp):
    keep_constants_alive()
    before = sys.getrefcount(None)
    thing = QObject()
    for _ in range(20_000):
        thing.setObjectName("thing")
    assert before > 40_000 or before - sys.getrefcount(None) < 100


def test_it_is_safe_to_ask_twice(qapp):
    keep_constants_alive()
    keep_constants_alive()
    assert sys.getrefcount(None) < 1 << 42
