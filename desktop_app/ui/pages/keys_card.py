"""The signing keys: where they are, their passphrase for this session, and making them once."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLineEdit

from desktop_app.ui.language import say, show
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import ElidedLabel, label
from desktop_app.ui.widgets.layouts import row


class KeysCard(Card):
    """The passphrase stays in this field and goes to the jobs that sign; it is written nowhere."""

    make_wanted = Signal(str)

    def __init__(self, keys_folder: Path) -> None:
        super().__init__(Text("Signing keys"), space=6)
        self.place = ElidedLabel(str(keys_folder), "small", Qt.TextElideMode.ElideMiddle)
        self.note = label("", "small", wrap=True)
        self.passphrase = QLineEdit()
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        say(self.passphrase, Text("Passphrase"), "setPlaceholderText")
        say(self.passphrase, Text("Passphrase of the signing keys"), "setAccessibleName")
        self.make_button = button(Text("Make keys"), "lock-key", "", lambda: self.make_wanted.emit(self.passphrase.text()))
        for part in (self.place, self.passphrase, self.note, row(self.make_button, None)):
            self.add(part)

    def show_keys(self, *, has_keys: bool) -> None:
        """Offer to make keys where there are none."""
        self.make_button.setVisible(not has_keys)
        there = Text("Each package is signed with its model's own key, which the passphrase opens. It is kept for this session only.")
        absent = Text("No keys yet. Choose a passphrase and make them; two of the three root keys are then to be kept elsewhere.")
        show(self.note, there if has_keys else absent)
