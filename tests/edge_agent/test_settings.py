"""`config.json`: wrong keys and values are refused in words."""

from pathlib import Path

import pytest

from edge_agent.settings import Settings, SettingsError, load_settings


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()


def test_what_is_set_holds(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"http_port": 9000, "threads": 2}')
    settings = load_settings(tmp_path)
    assert (settings.http_port, settings.threads) == (9000, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"http_prot": 1}', "did you mean 'http_port'"),
        ('{"zzz": 1}', "known are http_port"),
        ('{"http_port": 70000}', "<= 65535"),
        ('{"threads": "many"}', "Expected `int`"),
        ('{"activation_windows": ["at night"]}', "is no maintenance window: expected"),
        ('{"download_window": ["02:00-04:00"]}', "did you mean 'download_windows'"),
        ("{", "can not be read"),
        (" " * 300_000, "larger than"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SettingsError, match=words):
        load_settings(tmp_path)
