"""How a dataset version is frozen: seed, shares, and the acceptance set that is set apart first."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSpinBox

from desktop_app.jobs.requests import AcceptanceJob, FreezeJob
from desktop_app.ui.language import say
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.layouts import row

SEED_MAX = 2**31 - 1


def spin(name: Text, value: int, low: int, high: int, suffix: str = "") -> QSpinBox:
    """A number field."""
    made = QSpinBox()
    made.setRange(low, high)
    made.setValue(value)
    made.setSuffix(suffix)
    made.setFixedWidth(78)
    made.setAlignment(Qt.AlignmentFlag.AlignRight)
    say(made, name, "setAccessibleName")
    return made


class FreezeCard(Card):
    """The fields; `job` and `acceptance_job` are what they ask for."""

    def __init__(self) -> None:
        super().__init__(Text("Next version"), space=6)
        self.seed = spin(Text("Seed of the split"), 0, 0, SEED_MAX)
        self.validation = spin(Text("Share for validation"), 15, 0, 45, " %")
        self.test = spin(Text("Share for test"), 15, 0, 45, " %")
        self.acceptance = spin(Text("Samples in the acceptance set"), 100, 0, 100_000)
        self.acceptance_caption = label(Text("Acceptance set"), "muted")
        for caption, field in (
            (label(Text("Seed"), "muted"), self.seed),
            (label(Text("Validation"), "muted"), self.validation),
            (label(Text("Test"), "muted"), self.test),
            (self.acceptance_caption, self.acceptance),
        ):
            caption.setBuddy(field)
            self.add(row(caption, None, field))
        say(
            self.acceptance,
            Text("Labelled samples that no training ever sees; a device checks each version against them. Frozen once."),
            "setToolTip",
        )

    def show_acceptance(self, count: int, samples: int) -> None:
        """Once the set is frozen its size is fixed; before, half of the samples at most."""
        self.acceptance.setEnabled(count == 0)
        self.acceptance.setMaximum(max(count, samples // 2))
        self.acceptance.setValue(count or min(100, samples // 5))

    def job(self) -> FreezeJob:
        """The freeze that the fields describe."""
        validation, test = self.validation.value() / 100, self.test.value() / 100
        return FreezeJob(seed=self.seed.value(), shares=(round(1 - validation - test, 4), validation, test))

    def acceptance_job(self) -> AcceptanceJob | None:
        """The acceptance set to be frozen before, if there is none yet and one is wanted."""
        if not self.acceptance.isEnabled() or self.acceptance.value() == 0:
            return None
        return AcceptanceJob(count=self.acceptance.value(), seed=self.seed.value())
