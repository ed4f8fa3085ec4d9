from pathlib import Path

import pytest

from edge_agent.door_findings import examine_door
from edge_agent.findings import GOOD, NOTE, WRONG
from edge_agent.settings import Settings
from tests.simulators.certificates import write_certificate

TLS = Settings(tls_cert="cert.pem", tls_key="key.pem")


@pytest.mark.parametrize(
    ("begin", "end", "verdict", "words"),
    [
        (-1, 100, GOOD, "holds until"),
        (-1, 20, NOTE, "expires on"),
        (-20, -10, WRONG, "has expired on"),
        (10, 20, WRONG, "holds from"),
    ],
)
def test_a_certificate_that_clients_will_refuse_is_found(tmp_path: Path, begin: float, end: float, verdict: str, words: str) -> None:
    (tmp_path / write_certificate(tmp_path, begins_in_days=begin, ends_in_days=end).key).chmod(0o600)
    (finding,) = examine_door(TLS, tmp_path)
    assert finding.verdict == verdict
    assert words in finding.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(http_host="0.0.0.0"), "reached from other machines"),
        (Settings(tls_cert="cert.pem", tls_key="nowhere.pem"), "nowhere.pem is not there"),
        (Settings(tls_cert="cert.pem", tls_key="cert.pem"), "both must be PEM files"),
        (Settings(tls_cert="cert.pem", tls_key="other/key.pem"), "the key belongs to another certificate"),
    ],
)
def test_a_door_that_the_agent_can_not_open_is_found(tmp_path: Path, settings: Settings, words: str) -> None:
    write_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path / "other")
    (finding,) = examine_door(settings, tmp_path)
    assert finding.verdict == WRONG
    assert words in finding.text


def test_looking_makes_no_token_and_says_nothing_of_a_plain_door(tmp_path: Path) -> None:
    assert examine_door(Settings(http_token_file="token"), tmp_path) == []
    assert not list(tmp_path.iterdir())
