"""Try: drop a file and see what the shipped variant says; a wrong answer goes to the labelling queue."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QFileDialog, QVBoxLayout

from converters.report import ConversionReport
from desktop_app.ui import figures
from desktop_app.ui.grid.thumbnails import Thumbnails, enlarged
from desktop_app.ui.language import show
from desktop_app.ui.questions.results import TryAnswer
from desktop_app.ui.tokens import SPACE_S
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.bars import Bar, BarList
from desktop_app.ui.widgets.buttons import Choice, button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.drop_zone import DropZone
from desktop_app.ui.widgets.labels import ElidedLabel, label
from desktop_app.ui.widgets.layouts import boxed, column, row
from desktop_app.ui.widgets.picture import Picture

PICTURE_SIDE = 200
_PER_MILLE = 1000


class TryPanel(Card):
    """Tells `asked` a file and `wrong` the answer that a person rejects."""

    asked = Signal(Path, str)
    wrong = Signal(object)

    def __init__(self, thumbnails: Thumbnails) -> None:
        super().__init__(Text("Try"), space=8)
        self.setFixedWidth(264)
        self._answer: TryAnswer | None = None
        self.variant = Choice(Text("Variant that answers"))
        self.zone = DropZone(Text("Drop an image here"))
        self.picture = Picture(thumbnails, Text("The file that was tried"))
        self.picture.setFixedHeight(PICTURE_SIDE)
        self.hint = label(Text("Drop an image here"), "muted")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.choose = button(Text("Choose a file…"), "folder-open", "", self.choose_file)
        inside = QVBoxLayout(self.zone)
        inside.setContentsMargins(SPACE_S, SPACE_S, SPACE_S, SPACE_S)
        inside.addWidget(self.picture)
        inside.addWidget(self.hint)
        self.name = ElidedLabel("", "small", Qt.TextElideMode.ElideMiddle)
        self.said = label("", "figure")
        self.facts = label("", "small", wrap=True)
        self.scores = BarList(many_colours=False)
        self.right_button = button(Text("Right"), "check-circle", "", self._praise)
        self.wrong_button = button(Text("Wrong"), "thumbs-down", "", self._blame)
        self.result = boxed(column(self.name, self.said, self.facts, self.scores, row(self.right_button, self.wrong_button, None), space=6))
        self.absent = label(
            Text("Convert the run on the Ship page: Try asks the variant that is shipped, through the engine of the device."),
            "muted",
            wrap=True,
        )
        for part in (self.variant, self.zone, row(self.choose, None), self.result, self.absent):
            self.add(part)
        self.body.addStretch(1)
        self.zone.dropped.connect(self.ask)
        self.show_answer(None)

    def set_variants(self, report: ConversionReport | None, *, is_image_task: bool) -> None:
        """Offer the variants of a conversion, those that the gate passed first."""
        names = list(report.shippable) if report is not None else []
        is_ready = bool(names) and is_image_task
        for part in (self.variant, self.zone, self.choose):
            part.setVisible(is_ready)
        self.absent.setVisible(not is_ready)
        if not is_image_task:
            show(self.absent, Text("Try takes images; rows of a table can be asked with: eyelet-studio predict"))
        if [self.variant.itemText(at) for at in range(self.variant.count())] != names:
            self.variant.clear()
            self.variant.addItems(names)
            self.show_answer(None)

    def choose_file(self) -> None:
        """Ask for a file."""
        name, _ = QFileDialog.getOpenFileName(self, str(Text("Choose a file…")))
        if name:
            self.ask(Path(name))

    def ask(self, path: Path) -> None:
        """Have the variant asked."""
        if self.variant.count():
            self.asked.emit(path, self.variant.currentText())

    def show_answer(self, answer: TryAnswer | None) -> None:
        """Show what was said."""
        self._answer = answer
        self.result.setVisible(answer is not None)
        self.hint.setVisible(answer is None)
        self.picture.setVisible(answer is not None)
        if answer is None:
            self.zone.setMinimumHeight(PICTURE_SIDE)
            return
        image = QImage.fromData(answer.body)
        self.picture.show_pixmap(None if image.isNull() else QPixmap.fromImage(enlarged(image, PICTURE_SIDE)))
        self.name.setText(answer.name)
        show(self.said, f"{figures.one_line(answer.label, 18)} · {figures.percent(answer.score)}")
        facts = Text(
            "{variant} in {time}, run {run} · {width} × {height} px",
            variant=answer.variant,
            time=figures.milliseconds(answer.latency_ms),
            run=answer.run.partition("-")[0],
            width=answer.width,
            height=answer.height,
        )
        show(self.facts, facts)
        bars = tuple(Bar(name, name, round(score * _PER_MILLE), figures.percent(score)) for name, score in answer.scores)
        self.scores.set(bars, _PER_MILLE)
        for made in (self.right_button, self.wrong_button):
            made.setEnabled(True)

    def _praise(self) -> None:
        self.right_button.setEnabled(False)
        self.wrong_button.setEnabled(False)

    def _blame(self) -> None:
        self._praise()
        if self._answer is not None:
            self.wrong.emit(self._answer)
