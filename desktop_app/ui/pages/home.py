"""Home: drop something here; then what the project holds and which step comes next."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget

from desktop_app.jobs.requests import ImportJob
from desktop_app.ui import figures
from desktop_app.ui.icons import dress_label
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.language import say, show
from desktop_app.ui.pages.import_card import ImportCard, ImportWish
from desktop_app.ui.pages.next_step import next_step, task_name
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.step_tile import StepTile
from desktop_app.ui.questions.holdings import Holdings, read_holdings
from desktop_app.ui.questions.recognition import Recognition, recognise
from desktop_app.ui.questions.sample_project import free_folder, write_digits
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M, SPACE_S
from desktop_app.ui.translations.text import Text, counted
from desktop_app.ui.widgets.buttons import button, rename_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.drop_zone import DropZone
from desktop_app.ui.widgets.labels import ElidedLabel, label
from desktop_app.ui.widgets.layouts import boxed, column, emptied, row
from desktop_app.ui.widgets.states import SENTENCE_WIDTH
from desktop_app.ui.workspace import EVERYTHING, IMPORTS, SAMPLES, Trouble

TILES = (
    ("data", Text("Samples"), "image"),
    ("versions", Text("Dataset versions"), "snowflake"),
    ("train", Text("Best run"), "chart-line-up"),
    ("ship", Text("Packages"), "package"),
    ("fleet", Text("Devices"), "broadcast"),
)


class HomePage(Page):
    """The first screen."""

    key: ClassVar[str] = "home"
    title: ClassVar[Text] = Text("Home")
    icon: ClassVar[str] = "house"
    topics: ClassVar[frozenset[str]] = EVERYTHING
    job_names: ClassVar[frozenset[type]] = frozenset({ImportJob})

    def __init__(self, studio: Studio) -> None:
        self.open_button = button(Text("Open project…"), "folder-open", "", self.choose_project)
        self.primary = button(Text("Choose a folder…"), "arrow-right", "primary", self.act)
        super().__init__(studio, (self.open_button, self.primary))
        self._holdings: Holdings | None = None
        self._after_import: Callable[[], object] | None = None
        self.tiles = {key: StepTile(name, icon) for key, name, icon in TILES}
        self.step = label("", "muted", wrap=True)
        self.holds = Card(Text("What this project holds"))
        self._fill_holds()
        self.zone = DropZone(Text("Drop a folder or a CSV table here"))
        self.import_card = ImportCard()
        self.recent = QVBoxLayout()
        self.content_box.addWidget(self.holds)
        self.content_box.addLayout(self._lower(), 1)
        self.zone.dropped.connect(self.look_at)
        self.import_card.wanted.connect(self._import)
        self.import_card.given_up.connect(lambda: self._show_zone(is_zone=True))
        studio.workspace.opened.connect(self._on_opened)
        studio.fleet.changed.connect(self.render_again)
        self.show_content()
        self.render_again()

    def _fill_holds(self) -> None:
        line = row(space=SPACE_M)
        for key, tile in self.tiles.items():
            line.addWidget(tile, 1)
            tile.wanted.connect(lambda page="data" if key == "versions" else key: self.studio.go(page))
        self.holds.add(line)
        self.holds.add(self.step)

    def _lower(self) -> QVBoxLayout:
        self.sample_button = button(Text("Try the sample project"), "sparkle", "", self.open_sample)
        say(self.sample_button, Text("1 797 handwritten digits that scikit-learn ships, imported as PNG files."), "setToolTip")
        self._fill_zone()
        recent = Card(Text("Recent projects"))
        self.recent.setSpacing(4)
        recent.add(self.recent)
        recent.body.addStretch(1)
        side = boxed(column(recent))
        side.setFixedWidth(330)
        line = row(column(self.zone, self.import_card), side, space=SPACE_M)
        line.setStretch(0, 1)
        self.import_card.hide()
        return column(line)

    def _fill_zone(self) -> None:
        mark = QLabel()
        dress_label(mark, "download-simple", "accent", 44)
        headline = label(Text("Drop a folder or a CSV table here"), "headline")
        sentence = label(
            Text("Images in one subfolder per class, or a table whose first line names the columns. Nothing leaves this computer."), "muted"
        )
        sentence.setWordWrap(True)
        sentence.setFixedWidth(SENTENCE_WIDTH)
        self.table_button = button(Text("Choose a CSV…"), "table", "", self.choose_table)
        box = QVBoxLayout(self.zone)
        box.setSpacing(SPACE_S)
        box.addStretch(1)
        for part in (mark, headline, sentence):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            box.addLayout(row(None, part, None))
        box.addSpacing(SPACE_S)
        self.folder_button = button(Text("Choose a folder…"), "folder-open", "", self.choose_folder)
        box.addLayout(row(None, self.folder_button, self.table_button, self.sample_button, None))
        box.addStretch(1)

    # what is shown

    def refresh(self) -> None:
        """Ask what the project holds."""
        if self.studio.workspace.project is None:
            self._holdings = None
            self.render_again()
        else:
            self.studio.workspace.ask(self, "holdings", read_holdings, self._take, self.tell_trouble)

    def _take(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self.render_again()

    def render_again(self) -> None:
        """Show the holdings, or the welcome."""
        if not hasattr(self, "import_card"):
            return
        holdings = self._holdings
        self.holds.setVisible(holdings is not None)
        self.folder_button.setVisible(holdings is not None)
        self.sample_button.setVisible(holdings is None)
        self._list_recent()
        if holdings is None:
            self.header.set_chips([(Text("no project open"), "neutral")])
            rename_button(self.primary, Text("Choose a folder…"))
            return
        step = next_step(holdings)
        rename_button(self.primary, step.action)
        show(self.step, step.why)
        self.header.set_chips([(figures.one_line(holdings.name, 40), "accent"), (task_name(holdings.task), "neutral")])
        self._show_tiles(holdings)

    def _show_tiles(self, holdings: Holdings) -> None:
        classes = len(holdings.classes)
        self.tiles["data"].set(
            figures.count(holdings.samples),
            Text(
                "{classes} · {size}",
                classes=counted(classes, Text("1 class"), Text("{n} classes", n=classes)),
                size=figures.size(holdings.blob_bytes),
            ),
        )
        newest = holdings.newest_version
        frozen = Text("newest: {count} samples", count=figures.count(newest.samples)) if newest else Text("none frozen yet")
        self.tiles["versions"].set(str(len(holdings.versions)), frozen)
        best = holdings.best_run
        accuracy = figures.percent(best.state.validation_accuracy) if best else figures.NONE
        self.tiles["train"].set(accuracy, best.id if best else Text("no run is done yet"))
        self.tiles["ship"].set(str(len(holdings.packages)), holdings.packages[-1] if holdings.packages else Text("none built yet"))
        snapshot = self.studio.fleet.snapshot
        online = sum(device.presence.value == "online" for device in snapshot.devices) if snapshot else 0
        devices = str(len(snapshot.devices)) if snapshot else figures.NONE
        self.tiles["fleet"].set(devices, Text("{n} online", n=online) if snapshot else Text("not connected to a server"))

    def _list_recent(self) -> None:
        emptied(self.recent)
        for entry in self.studio.preferences.recent[:6]:
            self.recent.addWidget(self._recent_row(Path(entry)))
        if not self.studio.preferences.recent:
            self.recent.addWidget(label(Text("Projects that you opened appear here."), "muted", wrap=True))

    def _recent_row(self, folder: Path) -> QWidget:
        opener = button(Text("Open"), "", "quiet", lambda: self.studio.open_project(folder))
        show(opener, Text("Open {name}", name=folder.name), "setAccessibleName")
        names = column(ElidedLabel(folder.name, "strong"), ElidedLabel(str(folder.parent), "small", Qt.TextElideMode.ElideMiddle), space=0)
        line = row(names, opener)
        line.setStretch(0, 1)
        return boxed(line)

    # what can be done

    def act(self) -> None:
        """The primary action: choose a folder, or go to the next step."""
        if self._holdings is None or not self._holdings.samples:
            self.choose_folder()
        else:
            self.studio.go(next_step(self._holdings).page)

    def choose_project(self) -> None:
        """Ask for a project's folder and open it."""
        if folder := QFileDialog.getExistingDirectory(self, str(Text("Open project…"))):
            self.studio.open_project(Path(folder))

    def choose_folder(self) -> None:
        """Ask for a folder to import."""
        if folder := QFileDialog.getExistingDirectory(self, str(Text("Choose a folder…"))):
            self.look_at(Path(folder))

    def choose_table(self) -> None:
        """Ask for a table to import."""
        name, _ = QFileDialog.getOpenFileName(self, str(Text("Choose a CSV…")), "", "CSV (*.csv *.tsv)")
        if name:
            self.look_at(Path(name))

    def look_at(self, path: Path) -> None:
        """Recognise what was dropped and show the guess; a project's folder is opened."""
        self.error.clear()
        if (path / "project.json").is_file():
            self.studio.open_project(path)
            return
        self.studio.workspace.work(self, "recognise", lambda: recognise(path), self._show_recognition, self.tell_trouble)

    def _show_recognition(self, recognition: Recognition) -> None:
        project = self.studio.workspace.project
        parent = Path(self.studio.preferences.projects_folder).expanduser()
        open_name = project.name if project is not None and project.task == recognition.task else ""
        self.import_card.ask(recognition, free_folder(parent, recognition.name), open_name)
        self._show_zone(is_zone=False)

    def _show_zone(self, *, is_zone: bool) -> None:
        self.zone.setVisible(is_zone)
        self.import_card.setVisible(not is_zone)

    def _import(self, wish: ImportWish) -> None:
        """Import into the open project, or make one first."""
        if wish.project_folder is None:
            self._start_import(wish)
            return
        make = wish.make_project
        self.studio.workspace.work(self, "make-project", make, lambda folder: self._open_and_import(folder, wish), self.tell_trouble)

    def _open_and_import(self, folder: Path, wish: ImportWish) -> None:
        self.studio.open_project(folder)
        self._start_import(wish)

    def _start_import(self, wish: ImportWish) -> None:
        self._show_zone(is_zone=True)
        job = ImportJob(path=str(wish.path), options=wish.options)
        self.studio.run(job, Text("Import of {name}", name=figures.one_line(wish.path.name, 40)), frozenset({SAMPLES, IMPORTS}))
        self.studio.go("data")

    def open_sample(self) -> None:
        """Write the digits into a folder, make a project and import them as a user would."""
        self.sample_button.setEnabled(False)
        parent = Path(self.studio.preferences.projects_folder).expanduser()

        def write() -> tuple[Path, Path]:
            folder = free_folder(parent, "handwritten-digits")
            images = free_folder(parent, "handwritten-digits-images")
            write_digits(images)
            ImportWish(images, folder, "Handwritten digits", "image-classification", {}).make_project()
            return folder, images

        self.studio.workspace.work(self, "sample", write, self._open_sample_project, self._sample_trouble)

    def _open_sample_project(self, made: tuple[Path, Path]) -> None:
        folder, images = made
        self.sample_button.setEnabled(True)
        self._open_and_import(folder, ImportWish(images, folder, "Handwritten digits", "image-classification", {}))

    def _sample_trouble(self, trouble: Trouble) -> None:
        self.sample_button.setEnabled(True)
        self.tell_trouble(trouble)

    def _on_opened(self) -> None:
        self.error.clear()
        self._show_zone(is_zone=True)

    def job_done(self, handle: JobHandle) -> None:
        """Nothing to add: the holdings are read again because samples changed."""
        del handle
