"""Settings: theme, language, where projects and keys are kept."""

from collections.abc import Callable

import msgspec
from PySide6.QtWidgets import QDialog, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from desktop_app.ui.language import LANGUAGE, say
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_L, SPACE_S, SPACE_XL
from desktop_app.ui.translations.text import CHINESE_CODE, ENGLISH_CODE, Text
from desktop_app.ui.widgets.buttons import Choice, button
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.layouts import row

THEME_NAMES = (("system", Text("as the system")), ("light", Text("light")), ("dark", Text("dark")))


class SettingsDialog(QDialog):
    """Each change is in force at once."""

    def __init__(
        self, parent: QWidget, studio: Studio, choose_theme: Callable[[str], None], choose_language: Callable[[str], None]
    ) -> None:
        super().__init__(parent)
        self._studio, self._choose_theme, self._choose_language = studio, choose_theme, choose_language
        say(self, Text("Settings"), "setWindowTitle")
        self.setMinimumWidth(480)
        self.theme, self.language = Choice(Text("Theme")), Choice(Text("Language"))
        self.projects, self.keys = QLineEdit(studio.preferences.projects_folder), QLineEdit(studio.preferences.keys_folder)
        for key, text in THEME_NAMES:
            self.theme.addItem(str(text), key)
        self.language.addItem("English", ENGLISH_CODE)
        self.language.addItem("中文", CHINESE_CODE)
        self.theme.setCurrentIndex([key for key, _ in THEME_NAMES].index(studio.preferences.theme))
        self.language.setCurrentIndex([ENGLISH_CODE, CHINESE_CODE].index(LANGUAGE.code))
        self._lay_out()
        self.theme.activated.connect(lambda at: self._choose_theme(str(self.theme.itemData(at))))
        self.language.activated.connect(lambda at: self._choose_language(str(self.language.itemData(at))))
        for field in (self.projects, self.keys):
            field.editingFinished.connect(self._keep_folders)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.setVerticalSpacing(SPACE_S)
        fields: tuple[tuple[Text, QWidget], ...] = (
            (Text("Theme"), self.theme),
            (Text("Language"), self.language),
            (Text("Folder of new projects"), self.projects),
            (Text("Folder of the signing keys"), self.keys),
        )
        for text, field in fields:
            say(field, text, "setAccessibleName")
            caption = label(text, "muted")
            caption.setBuddy(field)
            form.addRow(caption, field)
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_XL, SPACE_XL, SPACE_XL, SPACE_L)
        box.setSpacing(SPACE_L)
        box.addWidget(label(Text("Settings"), "headline"))
        box.addLayout(form)
        box.addLayout(row(None, button(Text("Close"), "", "", self.accept)))

    def _keep_folders(self) -> None:
        folders = {"projects_folder": self.projects.text().strip(), "keys_folder": self.keys.text().strip()}
        kept = {name: folder for name, folder in folders.items() if folder}
        self._studio.remember(msgspec.structs.replace(self._studio.preferences, **kept))
