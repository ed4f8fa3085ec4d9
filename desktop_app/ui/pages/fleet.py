"""Fleet: which device runs what, how a rollout goes and why, and the buttons that stop it."""

from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QLineEdit, QWidget

from contract.rest import RolloutSpec, RolloutView
from contract.states import Presence, RolloutState
from desktop_app.release.field_samples import FieldReport
from desktop_app.ui import figures
from desktop_app.ui.charts.chart_card import ChartCard
from desktop_app.ui.charts.curves import Curve, CurvesPlot
from desktop_app.ui.fleet_link import FleetSnapshot
from desktop_app.ui.language import say, show
from desktop_app.ui.pages.claim_dialog import ClaimDialog
from desktop_app.ui.pages.fleet_tables import ARM_COLUMNS, DEVICE_COLUMNS, GATE_COLUMNS, arm_cells, arm_name, device_cells, gate_cells
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.rollout_card import RolloutCard, is_final
from desktop_app.ui.pages.rollout_dialog import RolloutDialog
from desktop_app.ui.questions.arms import latency_by_arm
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_L, SPACE_M, SPACE_S
from desktop_app.ui.translations.text import Text, counted
from desktop_app.ui.widgets.buttons import button, rename_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.layouts import boxed, column, row
from desktop_app.ui.widgets.tables import Table, height_of
from desktop_app.ui.workspace import Trouble

DEVICES_SHOWN = 5


class FleetPage(Page):
    """The primary action connects, and once connected asks for a new rollout."""

    key: ClassVar[str] = "fleet"
    title: ClassVar[Text] = Text("Fleet")
    icon: ClassVar[str] = "broadcast"

    def __init__(self, studio: Studio) -> None:
        self.enrol_button = button(Text("Enrol device"), "qr-code", "", self.enrol)
        self.pause_button = button(Text("Pause"), "pause", "", self.pause)
        self.back_button = button(Text("Roll back"), "arrow-counter-clockwise", "", lambda: self._act("rollback"))
        self.samples_button = button(Text("Bring field samples to the labelling queue"), "download-simple", "", self.bring_samples)
        self.primary = button(Text("Connect"), "broadcast", "primary", self.act)
        super().__init__(studio, (self.enrol_button, self.pause_button, self.back_button, self.primary))
        self.rollout = RolloutCard()
        self.gates = Table(Text("Gates of the rollout"), GATE_COLUMNS)
        self.arms = Table(Text("Arms of the rollout"), ARM_COLUMNS)
        self.latency = CurvesPlot(Text("Latency of the arms over time"), Text("seconds since the first window"), Text("p95 latency (ms)"))
        self.verdict = label("", "muted", wrap=True)
        self.devices = Table(Text("Devices"), DEVICE_COLUMNS)
        self.no_rollout = label(Text("No rollout yet. Publish a version on the Ship page, then start a rollout here."), "muted")
        self.url, self.token_file = QLineEdit(), QLineEdit()
        self._lay_out()
        self.disconnected = self.add_state(self._connect_state())
        studio.fleet.changed.connect(self.render_again)
        studio.fleet.connected.connect(self._on_connected)
        studio.fleet.troubled.connect(self._on_trouble)
        self.rollout.choice.activated.connect(lambda at: studio.fleet.look_at(str(self.rollout.choice.itemData(at))))
        self.render_again()

    def _lay_out(self) -> None:
        self.gates_card = Card(Text("Gates"))
        self.gates_card.add(self.gates, 1)
        self.arms_chart = ChartCard(Text("Arms: p95 latency by time"), self.latency, self.arms)
        self.arms_chart.export_wanted.connect(lambda suffix, content: self.studio.export(self, suffix, content))
        self.arms_chart.add(self.verdict)
        self.middle = boxed(row(self.gates_card, self.arms_chart, space=SPACE_M))
        devices = Card(Text("Devices"))
        devices.add(self.devices, 1)
        devices.add(row(self.samples_button, None))
        for part, stretch in ((self.rollout, 0), (self.no_rollout, 0), (self.middle, 4), (devices, 1)):
            self.content_box.addWidget(part, stretch)

    def _connect_state(self) -> QWidget:
        card = Card(Text("Connect to a fleet server"), space=SPACE_S)
        card.setFixedWidth(520)
        card.add(
            label(
                Text(
                    "The server tells its address when it starts (eyelet-fleet serve) and writes the operator's token into its data folder."
                ),
                "muted",
                wrap=True,
            )
        )
        preferences = self.studio.preferences
        self.url.setText(preferences.server)
        self.token_file.setText(preferences.token_file)
        self.url.setPlaceholderText("http://127.0.0.1:8470")
        self.token_file.setPlaceholderText("…/operator.token")
        pick = button(Text("Choose a file…"), "folder-open", "", self._choose_token)
        for text, field in ((Text("Server address"), self.url), (Text("Token file"), self.token_file)):
            caption = label(text, "small")
            caption.setBuddy(field)
            say(field, text, "setAccessibleName")
            card.add(caption)
            card.add(field)
            field.returnPressed.connect(self.connect_to_server)
        card.add(row(pick, None))
        outer = column(None, card, None, None, space=SPACE_L)
        outer.setAlignment(card, Qt.AlignmentFlag.AlignHCenter)
        return boxed(outer)

    # what is shown

    def showEvent(self, event: QShowEvent) -> None:
        """Ask the server again and again while the page is seen."""
        super().showEvent(event)
        self.studio.fleet.watch(is_looking=True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Leave the server alone."""
        super().hideEvent(event)
        self.studio.fleet.watch(is_looking=False)

    def render_again(self) -> None:
        """Show the newest snapshot."""
        snapshot = self.studio.fleet.snapshot
        for made in (self.enrol_button, self.pause_button, self.back_button):
            made.setVisible(snapshot is not None)
        if snapshot is None:
            self.show_state(self.disconnected)
            self.header.set_chips([(Text("not connected"), "neutral")])
            rename_button(self.primary, Text("Connect"))
            return
        self.show_content()
        rename_button(self.primary, Text("New rollout"))
        self.samples_button.setVisible(self.studio.workspace.project is not None)
        self._show_chips(snapshot)
        self.devices.set([(device.device, device_cells(device)) for device in snapshot.devices])
        self.devices.setMinimumHeight(height_of(min(len(snapshot.devices), DEVICES_SHOWN)))
        self._show_rollout(snapshot)

    def _show_chips(self, snapshot: FleetSnapshot) -> None:
        count, online = len(snapshot.devices), sum(d.presence is Presence.ONLINE for d in snapshot.devices)
        chips: list[tuple[Text | str, str]] = [
            (counted(count, Text("1 device"), Text("{n} devices", n=count)), "neutral"),
            (Text("{n} online", n=online), "good" if online == count else "caution"),
        ]
        if self.studio.fleet.trouble is not None:
            chips.append((Text("server does not answer"), "bad"))
        self.header.set_chips(chips)

    def _show_rollout(self, snapshot: FleetSnapshot) -> None:
        shown = snapshot.shown
        self.rollout.set(shown, snapshot.rollouts)
        self.middle.setVisible(shown is not None)
        self.no_rollout.setVisible(shown is None)
        can_act = shown is not None and not is_final(shown)
        self.pause_button.setEnabled(can_act)
        self.back_button.setEnabled(can_act)
        if shown is None:
            return
        is_paused = shown.state is RolloutState.PAUSED
        rename_button(self.pause_button, Text("Resume") if is_paused else Text("Pause"))
        self.gates.set([(gate.gate, gate_cells(gate)) for gate in shown.gates])
        self.arms.set([(arm.arm, arm_cells(arm)) for arm in shown.arms])
        series = latency_by_arm(snapshot.windows)
        curves = tuple(Curve(self._arm_title(shown, s.arm), s.seconds, s.p95_ms) for s in series)
        self.latency.set(curves, max((s.seconds[-1] for s in series), default=60.0))
        said = [found.text for found in (shown.paired, shown.verdict) if found is not None]
        show(
            self.verdict,
            figures.one_line("; ".join(said), 400) if said else Text("No comparison: every device gets the same version."),
        )

    @staticmethod
    def _arm_title(rollout: RolloutView, arm: str) -> Text:
        version = next((a.version for a in rollout.arms if a.arm == arm), rollout.spec.version)
        return Text("{arm} v{n}", arm=arm_name(arm), n=version)

    def _on_connected(self) -> None:
        self.error.clear()
        self.studio.remember_server(self.url.text().strip(), self.token_file.text().strip())
        self.studio.fleet.watch(is_looking=self.isVisible())

    def _on_trouble(self, trouble: Trouble) -> None:
        self.tell_trouble(trouble)
        self.render_again()

    # what can be done

    def act(self) -> None:
        """The primary action."""
        if self.studio.fleet.is_connected:
            self.ask_rollout()
        else:
            self.connect_to_server()

    def _choose_token(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, str(Text("Token file")))
        if name:
            self.token_file.setText(name)

    def connect_to_server(self) -> None:
        """Connect with the address and the token file of the fields."""
        self.error.clear()
        self.studio.fleet.connect_to(self.url.text().strip(), Path(self.token_file.text().strip()))

    def ask_rollout(self) -> None:
        """Ask what is to be rolled out, say what will happen, and start it."""
        snapshot = self.studio.fleet.snapshot
        if snapshot is None:
            return
        dialog = RolloutDialog(self, snapshot.models, snapshot.devices)
        if dialog.exec():
            self.start_rollout(dialog.spec())

    def start_rollout(self, spec: RolloutSpec) -> None:
        """Start a rollout."""
        started = lambda view: self.studio.toast(Text('Rollout "{name}" started', name=figures.one_line(view.spec.name, 40)))  # noqa: E731
        self.studio.fleet.wanted_rollout = ""
        self.studio.fleet.create_rollout(spec, started, self.tell_trouble)

    def pause(self) -> None:
        """Pause the rollout, or go on with it."""
        snapshot = self.studio.fleet.snapshot
        if snapshot is not None and snapshot.shown is not None:
            self._act("resume" if snapshot.shown.state is RolloutState.PAUSED else "pause")

    def _act(self, action: str) -> None:
        snapshot = self.studio.fleet.snapshot
        if snapshot is not None and snapshot.shown is not None:
            self.error.clear()
            self.studio.fleet.act(snapshot.shown, action, self.tell_trouble)

    def bring_samples(self) -> None:
        """Bring what devices sent to the labelling queue of the open project."""
        self.error.clear()
        self.samples_button.setEnabled(False)
        self.studio.fleet.bring_samples(self._samples_came, self._samples_failed)

    def _samples_came(self, report: FieldReport) -> None:
        self.samples_button.setEnabled(True)
        queued = counted(
            report.queued, Text("1 field sample waits for a label"), Text("{n} field samples wait for a label", n=report.queued)
        )
        self.studio.toast(queued, Text("Label"), lambda: self.studio.go("label"))

    def _samples_failed(self, trouble: Trouble) -> None:
        self.samples_button.setEnabled(True)
        self.tell_trouble(trouble)

    def enrol(self) -> None:
        """Make a claim token for a new device."""
        ClaimDialog(self, self.studio).exec()
