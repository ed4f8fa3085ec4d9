"""The inspector of the data page: one sample in large with all that is known of it, or several at once."""

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QLabel, QSizePolicy

from desktop_app.data.catalogue import Sample
from desktop_app.ui import figures
from desktop_app.ui.grid.thumbnails import Thumbnails
from desktop_app.ui.language import LANGUAGE, name_for_readers, show
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import Choice, button, rename_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import ElidedLabel, chip, label, set_tone
from desktop_app.ui.widgets.layouts import row

IMAGE_SIDE = 216


class Inspector(Card):
    """Tells `label_wanted` and `exclude_wanted` for the samples that are shown."""

    label_wanted = Signal(list, str)
    exclude_wanted = Signal(list, bool)

    def __init__(self, thumbnails: Thumbnails) -> None:
        super().__init__(space=8)
        self._thumbnails = thumbnails
        self._samples: tuple[Sample, ...] = ()
        self.setFixedWidth(IMAGE_SIDE + 34)
        self.picture = QLabel()
        self.picture.setFixedSize(IMAGE_SIDE, IMAGE_SIDE)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        name_for_readers(self.picture, Text("The chosen sample"))
        self.name = ElidedLabel("", "strong", Qt.TextElideMode.ElideMiddle)
        self.label_chip, self.split_chip, self.state_chip = chip("", "accent"), chip(""), chip("", "caution")
        self.facts = [ElidedLabel("", "small") for _ in range(4)]
        self.hint = label(Text("Choose a sample to see it in large. Ctrl or Shift chooses several."), "muted", wrap=True)
        self.relabel = Choice(Text("New label"))
        self.relabel.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.exclude = button(Text("Exclude"), "prohibit", "", self._exclude)
        self.add(self.picture)
        self.add(self.name)
        self.add(row(self.label_chip, self.split_chip, self.state_chip, None))
        for part in (*self.facts, self.hint):
            self.add(part)
        self.add(self.relabel)
        self.add(row(self.exclude, None))
        self.body.addStretch(1)
        self.relabel.activated.connect(self._relabel)
        thumbnails.ready.connect(self._on_ready)
        LANGUAGE.changed.connect(self.render_again)
        self.render_again()

    def set_labels(self, labels: Sequence[str]) -> None:
        """Which labels can be given."""
        self.relabel.clear()
        self.relabel.addItem(str(Text("Relabel as…")))
        for name in labels:
            self.relabel.addItem(figures.one_line(name, 40), name)

    def inspect(self, samples: Sequence[Sample]) -> None:
        """Show these samples."""
        self._samples = tuple(samples)
        self.render_again()

    def render_again(self) -> None:
        """Show them as they are."""
        one = self._samples[0] if len(self._samples) == 1 else None
        for part in (self.picture, self.label_chip, self.split_chip, *self.facts):
            part.setVisible(one is not None)
        self.state_chip.setVisible(one is not None and self._state(one) is not None)
        self.name.setVisible(bool(self._samples))
        self.hint.setVisible(not self._samples)
        self.relabel.setVisible(bool(self._samples))
        self.exclude.setVisible(bool(self._samples))
        if self.relabel.count():
            self.relabel.setItemText(0, str(Text("Relabel as…")))
        if one is not None:
            self._show_one(one)
        elif self._samples:
            self.name.setText(str(Text("{count} samples", count=figures.count(len(self._samples)))))
        all_out = bool(self._samples) and all(sample.excluded for sample in self._samples)
        rename_button(self.exclude, Text("Take back in") if all_out else Text("Exclude"))

    def _state(self, sample: Sample) -> Text | None:
        states = (
            (sample.excluded, Text("excluded")),
            (sample.queued, Text("in the queue")),
            (sample.conflict, Text("contradictory labels")),
        )
        return next((text for is_so, text in states if is_so), None)

    def _show_one(self, sample: Sample) -> None:
        self.name.setText(sample.name)
        show(self.label_chip, figures.one_line(sample.label, 24) if sample.label is not None else Text("no label"))
        set_tone(self.label_chip, "accent" if sample.label is not None else "caution")
        show(self.split_chip, split_name(sample.split))
        if (state := self._state(sample)) is not None:
            show(self.state_chip, state)
        said = figures.NONE if sample.predicted is None else f"{sample.predicted} · {figures.percent(sample.predicted_score)}"
        shown_size = (
            f"{sample.width} × {sample.height} px · {figures.size(sample.size_bytes)}" if sample.width else figures.size(sample.size_bytes)
        )
        facts: tuple[Text | str, ...] = (
            Text("model says: {said}", said=said),
            shown_size,
            f"SHA-256 {sample.sha256[:12]}…",
            Text("source: {name}", name=sample.source),
        )
        for part, fact in zip(self.facts, facts, strict=True):
            show(part, fact)
        self._show_picture(sample)

    def _show_picture(self, sample: Sample) -> None:
        self.picture.setVisible(sample.row is None)
        found = self._thumbnails.find(sample.sha256, IMAGE_SIDE) if sample.row is None else None
        self.picture.setPixmap(found if found is not None else QPixmap())

    def _on_ready(self, sha256: str) -> None:
        if len(self._samples) == 1 and self._samples[0].sha256 == sha256:
            self._show_picture(self._samples[0])

    def _relabel(self, index: int) -> None:
        name = self.relabel.itemData(index)
        self.relabel.setCurrentIndex(0)
        if name is not None and self._samples:
            self.label_wanted.emit([sample.id for sample in self._samples], str(name))

    def _exclude(self) -> None:
        all_out = all(sample.excluded for sample in self._samples)
        self.exclude_wanted.emit([sample.id for sample in self._samples], not all_out)


def split_name(split: str) -> Text:
    """A split in words."""
    names = {
        "train": Text("train"),
        "validation": Text("validation"),
        "test": Text("test"),
        "acceptance": Text("acceptance set"),
        "": Text("in no split"),
    }
    return names.get(split, Text("in no split"))
