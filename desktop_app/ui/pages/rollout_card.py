"""A rollout at a glance: its state and reason, and a tile per phase with how many devices are settled."""

from PySide6.QtWidgets import QFrame, QProgressBar, QVBoxLayout

from contract.codec import parse_time
from contract.rest import RolloutView
from contract.states import FINAL_ROLLOUT_STATES, RolloutState
from desktop_app.ui import figures
from desktop_app.ui.language import name_for_readers, say, show
from desktop_app.ui.pages.fleet_tables import ROLLOUT_STATES, settled_in_phase
from desktop_app.ui.questions.arms import seconds_since
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import Choice
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import chip, label, set_tone
from desktop_app.ui.widgets.layouts import row

PHASES_MAX = 6
_FULL_BP = 10_000


class PhaseTile(QFrame):
    """One phase: its share, its state, its bar."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "tile-still")
        self.share = label("", "strong")
        self.state = chip("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        name_for_readers(self.bar, Text("Devices of the phase that are settled"))
        self.note = label("", "small")
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_M, 10, SPACE_M, 10)
        box.setSpacing(6)
        box.addLayout(row(self.share, None, self.state))
        box.addWidget(self.bar)
        box.addWidget(self.note)

    def set(self, rollout: RolloutView, phase: int) -> None:
        """Show the phase with this index."""
        settled, failed, total = settled_in_phase(rollout, phase)
        show(self.share, Text("{share} of the cohort", share=figures.percent(rollout.spec.phases[phase].share_bp / _FULL_BP, 0)))
        text, tone = phase_state(rollout, phase)
        show(self.state, text)
        set_tone(self.state, tone)
        set_tone(self.bar, tone)
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(settled + failed)
        show(self.note, Text("{settled} of {total} devices settled, {failed} failed", settled=settled, total=total, failed=failed))


def phase_state(rollout: RolloutView, phase: int) -> tuple[Text, str]:
    """A phase in a word: passed, under way, waiting, or stopped with the rollout."""
    if phase < rollout.phase or rollout.state is RolloutState.SUCCEEDED:
        return Text("passed"), "good"
    if phase > rollout.phase:
        return Text("waiting"), "neutral"
    if rollout.state is RolloutState.RUNNING:
        left = _seconds_left(rollout)
        return (Text("baking, {time} left", time=figures.duration(left)), "accent") if left else (Text("under way"), "accent")
    return ROLLOUT_STATES[rollout.state.value]


def _seconds_left(rollout: RolloutView) -> float:
    if not rollout.phase_ends_at:
        return 0.0
    parse_time(rollout.phase_ends_at)
    passed = seconds_since(rollout.phase_ends_at) or 0.0
    return max(0.0, -passed)


def is_final(rollout: RolloutView) -> bool:
    """Whether nothing can be done to it any more."""
    return rollout.state in FINAL_ROLLOUT_STATES


class RolloutCard(Card):
    """The shown rollout; the choice offers the others."""

    def __init__(self) -> None:
        super().__init__(Text("Rollout"))
        self.choice = Choice(Text("Which rollout"))
        self.state = chip("")
        self.head.insertWidget(1, self.state)
        self.head.addWidget(self.choice)
        self.reason = label("", "muted", wrap=True)
        self.tiles = [PhaseTile() for _ in range(PHASES_MAX)]
        self.add(row(*self.tiles, space=SPACE_M))
        self.add(self.reason)

    def set(self, shown: RolloutView | None, rollouts: tuple[RolloutView, ...]) -> None:
        """Show a rollout."""
        self.setVisible(shown is not None)
        if shown is None:
            return
        title = Text(
            'Rollout "{name}", {model} version {n}',
            name=figures.one_line(shown.spec.name, 40),
            model=shown.spec.model,
            n=shown.spec.version,
        )
        control = shown.spec.control_version
        if control is not None:
            title = Text("{title} · A/B, control version {n}", title=title, n=control)
        self.set_title(title)
        text, tone = ROLLOUT_STATES[shown.state.value]
        say(self.state, text)
        set_tone(self.state, tone)
        show(self.reason, figures.one_line(shown.state_reason, 300))
        self.reason.setVisible(bool(shown.state_reason))
        for at, tile in enumerate(self.tiles):
            tile.setVisible(at < len(shown.spec.phases))
            if at < len(shown.spec.phases):
                tile.set(shown, at)
        self._list(shown, rollouts)

    def _list(self, shown: RolloutView, rollouts: tuple[RolloutView, ...]) -> None:
        names = [(view.rollout, f"{figures.one_line(view.spec.name, 30)} · {ROLLOUT_STATES[view.state.value][0]}") for view in rollouts]
        if [(self.choice.itemData(at), self.choice.itemText(at)) for at in range(self.choice.count())] != names:
            self.choice.clear()
            for key, name in names:
                self.choice.addItem(name, key)
        self.choice.setCurrentIndex([key for key, _ in names].index(shown.rollout))
        self.choice.setVisible(len(names) > 1)
