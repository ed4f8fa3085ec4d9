"""The fleet page against a real server with a real, signed publication."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.claims import parse_token as read_claim
from contract.rest import EnrollRequest
from contract.signing import generate_key, public_key_to_dict
from desktop_app.release.server_client import ServerClient
from desktop_app.ui.pages.claim_dialog import ClaimDialog
from desktop_app.ui.pages.rollout_dialog import RolloutDialog
from desktop_app.ui.window import StudioWindow
from tests.desktop_app.release.live_server import LiveServer, running_server
from tests.desktop_app.ui.conftest import PASSPHRASE, WAIT_MS, Finished


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[LiveServer]:
    with running_server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def connected(qtbot, window: StudioWindow, server: LiveServer):
    page = window.pages["fleet"]
    window.go("fleet")
    page.url.setText(server.url)
    page.token_file.setText(str(server.token_file))
    page.primary.click()
    qtbot.waitUntil(lambda: window.studio.fleet.is_connected, timeout=WAIT_MS)
    return page


def enrol(token: str) -> None:
    import httpx

    claim = read_claim(token)
    body = EnrollRequest(claim.claim_id, claim.secret, public_key_to_dict(generate_key().public), "p" * 40, "simulated", "0.1.0")
    import msgspec

    httpx.post(
        f"{claim.server_url}/v1/enroll", content=msgspec.json.encode(body), headers={"content-type": "application/json"}
    ).raise_for_status()


def test_a_wrong_address_is_told_on_the_page(qtbot, window: StudioWindow, tmp_path: Path):
    page = window.pages["fleet"]
    window.go("fleet")
    (tmp_path / "token").write_text("secret")
    page.url.setText("http://127.0.0.1:9")
    page.token_file.setText(str(tmp_path / "token"))
    page.primary.click()
    qtbot.waitUntil(page.error.isVisible, timeout=WAIT_MS)
    assert "127.0.0.1:9" in page.error.sentence.text()
    assert page.stack.currentWidget() is page.disconnected


def test_connecting_is_remembered_without_the_token(connected, window: StudioWindow, server: LiveServer):
    assert window.studio.preferences.server == server.url
    assert server.token not in window.studio.preferences_path.read_text()
    assert connected.primary.text() == "New rollout"


def test_from_a_package_to_a_rollout_that_is_stopped(  # noqa: PLR0917  (fixtures)
    qtbot, window: StudioWindow, connected, server: LiveServer, finished: Finished, finish, settle
):
    window.open_project(finished.folder)
    window.go("ship")
    settle()
    ship = window.pages["ship"]
    ship.keys.passphrase.setText(PASSPHRASE)
    ship.package.model.setText("colours")
    ship.primary.click()
    finish()
    ship.primary.click()
    finish()
    with ServerClient(server.url, server.token) as client:
        assert [model.model for model in client.list_models()] == ["colours"]

    dialog = ClaimDialog(connected, window.studio)
    dialog.device.setText("pi-01")
    dialog.passphrase.setText(PASSPHRASE)
    dialog.make_button.click()
    qtbot.waitUntil(lambda: bool(dialog.token.toPlainText()), timeout=WAIT_MS)
    enrol(dialog.token.toPlainText())
    dialog.accept()

    window.go("fleet")
    fleet = window.studio.fleet
    qtbot.waitUntil(lambda: bool(fleet.snapshot.devices) and bool(fleet.snapshot.models), timeout=WAIT_MS)
    assert connected.devices.rows.rows[0][1][0].text == "pi-01"
    assert connected.devices.rows.rows[0][1][2].text.key == "offline"

    asked = RolloutDialog(connected, fleet.snapshot.models, fleet.snapshot.devices)
    assert "1 of 1 devices get version 1 first" in asked.what.text()
    connected.start_rollout(asked.spec())
    qtbot.waitUntil(lambda: fleet.snapshot.shown is not None or connected.error.isVisible(), timeout=WAIT_MS)
    assert not connected.error.isVisible(), connected.error.sentence.text()
    assert connected.rollout.state.text() == "running"
    assert connected.gates.rows.rowCount() > 0

    connected.pause_button.click()
    qtbot.waitUntil(lambda: fleet.snapshot.shown.state.value == "paused", timeout=WAIT_MS)
    assert connected.pause_button.text() == "Resume"
    connected.back_button.click()
    qtbot.waitUntil(lambda: fleet.snapshot.shown.state.value in {"rolling_back", "rolled_back"}, timeout=WAIT_MS)
    with ServerClient(server.url, server.token) as client:
        assert client.list_rollouts()[0].state.value in {"rolling_back", "rolled_back"}
