import pytest

from desktop_app.ui import figures

THIN = "\u202f"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.count(15000), f"15{THIN}000"),
        (figures.count(7), "7"),
        (figures.percent(0.7784), f"77.8{THIN}%"),
        (figures.percent(1), f"100.0{THIN}%"),
        (figures.percent(None), "–"),
        (figures.points(-0.0023), "−0.2"),
        (figures.points(-0.0003), "0.0"),
        (figures.points(0.004), "+0.4"),
        (figures.milliseconds(0.0863), f"0.086{THIN}ms"),
        (figures.milliseconds(0.27), f"0.27{THIN}ms"),
        (figures.milliseconds(12.34), f"12.3{THIN}ms"),
        (figures.milliseconds(None), "–"),
        (figures.size(98_000), f"98{THIN}KB"),
        (figures.size(1_100_000), f"1.1{THIN}MB"),
        (figures.size(12), f"12{THIN}B"),
        (figures.duration(45.2), "45 s"),
        (figures.duration(130), "2 min 10 s"),
        (figures.duration(11_100), "3 h 5 min"),
        (figures.local_time("no time"), "no time"),
    ],
)
def test_numbers_are_read_with_their_unit(shown: str, expected: str):
    assert shown == expected


def test_a_name_from_outside_stays_on_one_line():
    assert figures.one_line("a\nb\x1b[31m") == "a␤b\N{REPLACEMENT CHARACTER}[31m"
    assert figures.one_line("x" * 50, 10) == "x" * 9 + "…"
    assert figures.one_line(f"98.4{THIN}%") == f"98.4{THIN}%"
