"""Label: one sample in large, a key per class, the queue below; a label moves on to the next sample."""

from typing import ClassVar

from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLineEdit, QListView, QPushButton, QSizePolicy, QVBoxLayout

from desktop_app.data.catalogue import Sample, exclude, set_label, undo
from desktop_app.ui import figures
from desktop_app.ui.grid.model import SampleModel
from desktop_app.ui.grid.view import SampleGrid
from desktop_app.ui.language import say, show
from desktop_app.ui.pages.inspector import split_name
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.piles import KEYS, PILES, first_pile, keys_for
from desktop_app.ui.questions.holdings import Holdings, read_holdings
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import Choice, button, rename_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import ElidedLabel, chip, label, set_tone
from desktop_app.ui.widgets.layouts import boxed, column, emptied, row, scrolled
from desktop_app.ui.widgets.picture import Picture
from desktop_app.ui.widgets.states import EmptyState
from desktop_app.ui.workspace import SAMPLES, VERSIONS, Trouble

STRIP_HEIGHT = 136


class LabelPage(Page):
    """The list that is gone through stays as it was read, so that the arrows lead back."""

    key: ClassVar[str] = "label"
    title: ClassVar[Text] = Text("Label")
    icon: ClassVar[str] = "tag"
    topics: ClassVar[frozenset[str]] = frozenset({SAMPLES, VERSIONS})

    def __init__(self, studio: Studio) -> None:
        self.undo_button = button(Text("Undo"), "arrow-counter-clockwise", "", self.undo)
        self.exclude_button = button(Text("Exclude"), "prohibit", "", self.exclude)
        self.primary = button(Text("Next sample"), "arrow-right", "primary", self.accept)
        super().__init__(studio, (self.undo_button, self.exclude_button, self.primary))
        self._holdings: Holdings | None = None
        self._labels: tuple[str, ...] = ()
        self._keys: dict[str, str] = {}
        self._wanted_row = 0
        self._own_changes = 0
        self.model = SampleModel(studio.workspace)
        self.picture = Picture(studio.thumbnails, Text("The sample to be labelled"))
        self.name = ElidedLabel("", "strong", Qt.TextElideMode.ElideMiddle)
        self.label_chip, self.split_chip = chip("", "accent"), chip("")
        self.place = label("", "small")
        self.pile = Choice(Text("Which samples to go through"))
        self.classes = QVBoxLayout()
        self.class_buttons: dict[str, QPushButton] = {}
        self.new_class = QLineEdit()
        say(self.new_class, Text("New class"), "setPlaceholderText")
        say(self.new_class, Text("Name of a new class"), "setAccessibleName")
        self.strip = SampleGrid(Text("The samples in their order"), studio.thumbnails)
        self._lay_out()
        self.empty = self._empty_state()
        self.add_state(self.empty)
        self._connect()

    def _empty_state(self) -> EmptyState:
        go = button(Text("Go to Home"), "house", "", lambda: self.studio.go("home"))
        return EmptyState("tag", Text("Nothing to label"), Text("Import images first; those without a label wait here."), go)

    def _lay_out(self) -> None:
        facts = row(self.name, self.label_chip, self.split_chip, self.place)
        facts.setStretch(0, 1)
        sample = Card()
        sample.add(self.picture, 1)
        sample.add(facts)
        classes = Card(Text("Classes"), space=6)
        self.classes.setSpacing(4)
        inner = boxed(column(self.classes, None, space=0))
        classes.add(scrolled(inner), 1)
        classes.add(self.new_class)
        classes.add(
            label(
                Text("1–9 label and go on · ← → move · Space accepts what the model says · X excludes · Ctrl+Z undoes"), "small", wrap=True
            )
        )
        side = boxed(column(self.pile, classes, space=SPACE_M))
        side.setFixedWidth(250)
        upper = row(sample, side, space=SPACE_M)
        upper.setStretch(0, 1)
        self.strip.setModel(self.model)
        self.strip.setWrapping(False)
        self.strip.setFlow(QListView.Flow.LeftToRight)
        self.strip.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.strip.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.strip.setFixedHeight(STRIP_HEIGHT)
        self.strip.setSelectionMode(QListView.SelectionMode.SingleSelection)
        below = Card()
        below.add(self.strip)
        below.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.content_box.addLayout(upper, 1)
        self.content_box.addWidget(below)

    def _connect(self) -> None:
        self.pile.activated.connect(self._show_pile)
        self.new_class.returnPressed.connect(self._label_new)
        self.model.loaded.connect(lambda count: self.move_to(min(self._wanted_row, count - 1)))
        self.strip.chosen.connect(lambda _samples: self._show_sample())
        for key in KEYS:
            self._shortcut(key, lambda key=key: self._label_by_key(key))
        for key, act in (
            ("Left", lambda: self.step(-1)),
            ("Right", lambda: self.step(1)),
            ("A", lambda: self.step(-1)),
            ("D", lambda: self.step(1)),
        ):
            self._shortcut(key, act)
        for key, method in (("Space", self.accept_prediction), ("X", self.exclude), ("Ctrl+Z", self.undo)):
            self._shortcut(key, method)

    def _shortcut(self, key: str, act: object) -> None:
        shortcut = QShortcut(QKeySequence(key), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(act)

    # what is shown

    def refresh(self) -> None:
        """Ask for the classes and, unless the change was made here, for the samples."""
        if self._own_changes:
            self._own_changes -= 1
            self.studio.workspace.ask(self, "label", read_holdings, self._take_counts, self.tell_trouble)
        else:
            self.studio.workspace.ask(self, "label", read_holdings, self._take, self.tell_trouble)

    def _take(self, holdings: Holdings) -> None:
        self._take_counts(holdings)
        if holdings.samples:
            pile = first_pile(holdings) if self.pile.currentIndex() < 0 or not self.model.rowCount() else self.pile.currentIndex()
            self._show_pile(pile)
        else:
            self.model.empty()

    def _take_counts(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self.render_again()

    def render_again(self) -> None:
        """Show classes, counts and the sample."""
        holdings = self._holdings
        if holdings is None:
            return
        if holdings.samples and not holdings.task.startswith("tabular"):
            self.show_content()
        else:
            self._explain(is_table=holdings.task.startswith("tabular"))
            self.show_state(self.empty)
        tone = "caution" if holdings.queued else "neutral"
        self.header.set_chips(
            [
                (Text("{count} in the queue", count=figures.count(holdings.queued)), tone),
                (Text("{count} unlabelled", count=figures.count(holdings.unlabelled)), "neutral"),
            ]
        )
        self._list_piles()
        self._list_classes(tuple(name for name, _ in holdings.classes))
        self._show_sample()

    def _explain(self, *, is_table: bool) -> None:
        rows = Text("The rows of a table have their label in the target column. Change it in the table and import again.")
        images = Text("Import images first; those without a label wait here.")
        self.empty.set(Text("Nothing to label"), rows if is_table else images)

    def _list_piles(self) -> None:
        current = max(0, self.pile.currentIndex())
        self.pile.clear()
        self.pile.addItems([str(pile.name) for pile in PILES])
        self.pile.setCurrentIndex(current)

    def _list_classes(self, labels: tuple[str, ...]) -> None:
        if labels == self._labels:
            return
        self._labels = labels
        emptied(self.classes)
        self.class_buttons = {}
        self._keys = keys_for(labels)
        for name in labels:
            made = QPushButton(self._class_text(name))
            made.setProperty("role", "choice")
            made.setCheckable(True)
            made.setAccessibleName(figures.one_line(name, 60))
            made.clicked.connect(lambda _checked=False, name=name: self.label_as(name))
            self.classes.addWidget(made)
            self.class_buttons[name] = made

    def _class_text(self, name: str) -> str:
        return f"{self._keys.get(name, ' ')}    {figures.one_line(name, 24)}".replace("&", "&&")

    def _show_pile(self, index: int) -> None:
        self.pile.setCurrentIndex(index)
        self._wanted_row = 0
        self.model.show(PILES[index].query)

    @property
    def current_row(self) -> int:
        """Row of the sample that is shown, -1 where there is none."""
        index = self.strip.currentIndex()
        return index.row() if index.isValid() else -1

    @property
    def current(self) -> Sample | None:
        """The sample that is shown."""
        return self.model.sample(self.current_row) if self.current_row >= 0 else None

    def move_to(self, row_number: int) -> None:
        """Show the sample in this row."""
        if row_number >= 0:
            index = self.model.index(row_number)
            self.strip.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
            self.strip.scrollTo(index)
        self._show_sample()

    def step(self, by: int) -> None:
        """Go on or back."""
        self.move_to(min(max(self.current_row + by, 0), self.model.rowCount() - 1))

    def _show_sample(self) -> None:
        sample = self.current
        self.picture.show_original(sample.sha256 if sample and sample.row is None else "")
        self.name.setText(sample.name if sample else "")
        for part in (self.label_chip, self.split_chip):
            part.setVisible(sample is not None)
        count = self.model.rowCount()
        show(
            self.place, Text("{n} of {count}", n=self.current_row + 1, count=figures.count(count)) if sample else Text("This pile is empty")
        )
        if sample is not None:
            show(self.label_chip, figures.one_line(sample.label, 24) if sample.label is not None else Text("no label"))
            set_tone(self.label_chip, "accent" if sample.label is not None else "caution")
            show(self.split_chip, split_name(sample.split))
        for name, made in self.class_buttons.items():
            made.setChecked(sample is not None and name == sample.label)
        self._name_primary(sample)

    def _name_primary(self, sample: Sample | None) -> None:
        said = sample.predicted if sample is not None else None
        text = Text('Accept "{name}"', name=figures.one_line(said, 24)) if said else Text("Next sample")
        rename_button(self.primary, text)
        self.primary.setEnabled(sample is not None)

    # what can be done

    def accept(self) -> None:
        """The primary action: take the model's word, or go on."""
        if self.current is not None and self.current.predicted:
            self.accept_prediction()
        else:
            self.step(1)

    def accept_prediction(self) -> None:
        """Label as the model says."""
        if self.current is not None and self.current.predicted:
            self.label_as(self.current.predicted)

    def _label_by_key(self, key: str) -> None:
        for name, own in self._keys.items():
            if own == key:
                self.label_as(name)
                return

    def _label_new(self) -> None:
        if name := self.new_class.text().strip():
            self.new_class.clear()
            self.label_as(name)

    def label_as(self, name: str) -> None:
        """Label the sample and go on to the next."""
        sample, row_number = self.current, self.current_row
        if sample is None:
            return
        self.model.patch(row_number, label=name, queued=False, conflict=False)
        self._change(lambda project: set_label(project, [sample.id], name))
        self.step(1)

    def exclude(self) -> None:
        """Exclude the sample from later versions, or take it back in, and go on."""
        sample, row_number = self.current, self.current_row
        if sample is None:
            return
        is_out = not sample.excluded
        self.model.patch(row_number, excluded=is_out)
        self._change(lambda project: exclude(project, [sample.id], is_out))
        self.step(1)

    def _change(self, operation: object) -> None:
        self._own_changes += 1
        self.studio.workspace.change(self, operation, frozenset({SAMPLES}), None, self._tell_refused)  # type: ignore[arg-type]

    def _tell_refused(self, trouble: Trouble) -> None:
        """A change was refused: show what the project really holds."""
        self._own_changes = 0
        self.tell_trouble(trouble)
        self.refresh()

    def undo(self) -> None:
        """Take back the last change and show its sample again."""
        self._wanted_row = max(0, self.current_row - 1)

        def done(text: str | None) -> None:
            self.studio.toast(Text("Undone") if text else Text("Nothing to undo"))
            self.model.refresh()

        self._own_changes += 1
        self.studio.workspace.change(self, undo, frozenset({SAMPLES}), done, self._tell_refused)
