"""Make a claim token, with which a device enrols once within a day."""

from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from desktop_app.ui.language import say
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_L, SPACE_M, SPACE_XL
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.layouts import row
from desktop_app.ui.widgets.states import ErrorNote


class ClaimDialog(QDialog):
    """Device name and passphrase in, token out; only the digest of its secret goes to the server."""

    def __init__(self, parent: QWidget, studio: Studio) -> None:
        super().__init__(parent)
        self._studio = studio
        say(self, Text("Enrol device"), "setWindowTitle")
        self.setMinimumWidth(520)
        self.device, self.passphrase = QLineEdit(), QLineEdit()
        self.device.setPlaceholderText("pi-01")
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        say(self.device, Text("Name of the device"), "setAccessibleName")
        say(self.passphrase, Text("Passphrase of the signing keys"), "setAccessibleName")
        self.token = QPlainTextEdit()
        self.token.setReadOnly(True)
        self.token.setMaximumHeight(110)
        say(self.token, Text("Claim token"), "setAccessibleName")
        self.error = ErrorNote()
        self.make_button = button(Text("Make token"), "qr-code", "primary", self.make)
        self.copy_button = button(Text("Copy"), "copy", "", lambda: QGuiApplication.clipboard().setText(self.token.toPlainText()))
        close = button(Text("Close"), "", "", self.accept)
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_XL, SPACE_XL, SPACE_XL, SPACE_L)
        box.setSpacing(SPACE_M)
        box.addWidget(label(Text("Enrol device"), "headline"))
        box.addWidget(
            label(Text("The token lets one device enrol within 24 hours: eyelet-agent enroll TOKEN --home DIR"), "muted", wrap=True)
        )
        for text, field in ((Text("Name of the device"), self.device), (Text("Passphrase of the signing keys"), self.passphrase)):
            box.addWidget(label(text, "small"))
            box.addWidget(field)
        box.addWidget(self.error)
        box.addWidget(self.token)
        box.addLayout(row(self.copy_button, None, close, self.make_button))
        self._show_token("")

    def _show_token(self, token: str) -> None:
        self.token.setPlainText(token)
        self.token.setVisible(bool(token))
        self.copy_button.setVisible(bool(token))

    def make(self) -> None:
        """Make the token in a worker thread; deriving the key takes a moment."""
        from desktop_app.release.claims import make_claim
        from desktop_app.release.keys import KeyStore
        from desktop_app.release.server_client import ServerClient

        self.error.clear()
        studio, device, passphrase = self._studio, self.device.text().strip(), self.passphrase.text()
        folder = Path(studio.preferences.keys_folder).expanduser()

        def work() -> str:
            with ServerClient(studio.fleet.url, studio.fleet.token) as client:
                return make_claim(client, KeyStore(folder, passphrase), device)

        studio.workspace.work(self, "claim", work, self._show_token, lambda trouble: self.error.tell(trouble.whole, trouble.details))
