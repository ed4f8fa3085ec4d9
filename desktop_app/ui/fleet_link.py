"""The view model of a fleet: asks a server from worker threads, again and again while a page looks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from contract.rest import DeviceView, ModelView, RolloutSpec, RolloutView, ServerInfo, WindowView
from desktop_app.release.field_samples import FieldReport, bring_field_samples
from desktop_app.release.server_client import ServerClient, read_token
from desktop_app.ui.workspace import SAMPLES, Trouble, Workspace

POLL_MS = 2000
WINDOWS_PER_POLL = 500
WINDOWS_MAX = 20_000


@dataclass(frozen=True)
class FleetSnapshot:
    """What the server said at one moment."""

    info: ServerInfo
    devices: tuple[DeviceView, ...]
    rollouts: tuple[RolloutView, ...]
    models: tuple[ModelView, ...]
    windows: tuple[WindowView, ...] = ()  # of `shown`
    shown: RolloutView | None = None


class FleetLink(QObject):
    """Connected to one server, or to none; `snapshot` is the newest answer."""

    changed = Signal()
    troubled = Signal(object)  # Trouble
    connected = Signal()

    def __init__(self, workspace: Workspace, make_client: Callable[[str, str], ServerClient]) -> None:
        super().__init__()
        self._workspace = workspace
        self._make_client = make_client
        self._client: ServerClient | None = None
        self.url = ""
        self.token = ""
        self.wanted_rollout = ""
        self.snapshot: FleetSnapshot | None = None
        self.trouble: Trouble | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.refresh)

    @property
    def is_connected(self) -> bool:
        """Whether a server has answered."""
        return self.snapshot is not None

    def connect_to(self, url: str, token_file: Path) -> None:
        """Connect to a server with the operator's token in a file."""

        def first() -> tuple[ServerClient, str, FleetSnapshot]:
            token = read_token(token_file.expanduser())
            client = self._make_client(url, token)
            return client, token, take_snapshot(client)

        self._workspace.work(self, "fleet", first, lambda found: self._take_client(url, *found), self._take_trouble)

    def disconnect_from_server(self) -> None:
        """Forget the server."""
        self._timer.stop()
        if self._client is not None:
            self._client.close()
        self._client, self.snapshot, self.url, self.token = None, None, "", ""
        self.changed.emit()

    def watch(self, *, is_looking: bool) -> None:
        """Ask again and again only while somebody looks."""
        if is_looking and self._client is not None:
            self.refresh()
            self._timer.start()
        else:
            self._timer.stop()

    def refresh(self) -> None:
        """Ask the server for everything once."""
        client = self._client
        if client is not None:
            wanted, known = self.wanted_rollout, self.snapshot
            self._workspace.work(self, "fleet", lambda: take_snapshot(client, wanted, known), self._take_snapshot, self._take_trouble)

    def look_at(self, rollout: str) -> None:
        """Fetch the windows of this rollout from now on (empty: of the newest)."""
        self.wanted_rollout = rollout
        self.refresh()

    def create_rollout(self, spec: RolloutSpec, on_done: Callable[[RolloutView], object], on_trouble: Callable[[Trouble], object]) -> None:
        """Start a rollout."""
        self._act(lambda client: client.create_rollout(spec), on_done, on_trouble)

    def act(self, rollout: RolloutView, action: str, on_trouble: Callable[[Trouble], object]) -> None:
        """Pause, resume, abort or roll back, as long as the rollout has not moved on meanwhile."""
        self._act(
            lambda client: client.act_on_rollout(rollout.rollout, action, rollout.revision, "by the operator"),
            lambda _view: None,
            on_trouble,
        )

    def bring_samples(self, on_done: Callable[[FieldReport], object], on_trouble: Callable[[Trouble], object]) -> None:
        """Bring the fleet's field samples into the labelling queue of the open project."""
        project = self._workspace.project

        def done(report: FieldReport) -> None:
            on_done(report)
            self._workspace.changed.emit(frozenset({SAMPLES}))

        if project is not None:
            self._act(lambda client: bring_field_samples(client, project), done, on_trouble)

    def _act(
        self, action: Callable[[ServerClient], Any], on_done: Callable[[Any], object], on_trouble: Callable[[Trouble], object]
    ) -> None:
        client = self._client

        def done(value: Any) -> None:  # noqa: ANN401
            on_done(value)
            self.refresh()

        if client is not None:
            self._workspace.work(self, "fleet-action", lambda: action(client), done, on_trouble)

    def _take_client(self, url: str, client: ServerClient, token: str, snapshot: FleetSnapshot) -> None:
        self._client, self.url, self.token = client, url, token
        self._take_snapshot(snapshot)
        self.connected.emit()

    def _take_snapshot(self, snapshot: FleetSnapshot) -> None:
        self.snapshot, self.trouble = snapshot, None
        self.changed.emit()

    def _take_trouble(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.troubled.emit(trouble)


def take_snapshot(client: ServerClient, wanted: str = "", known: FleetSnapshot | None = None) -> FleetSnapshot:
    """Ask a server for all that the page shows; of the rollout's windows only those that are new."""
    rollouts = tuple(sorted(client.list_rollouts(), key=lambda view: view.created_at, reverse=True))
    shown = next((view for view in rollouts if view.rollout == wanted), rollouts[0] if rollouts else None)
    return FleetSnapshot(
        info=client.server_info(),
        devices=tuple(sorted(client.list_devices(), key=lambda view: view.device)),
        rollouts=rollouts,
        models=tuple(client.list_models()),
        windows=_more_windows(client, shown, known) if shown is not None else (),
        shown=shown,
    )


def _more_windows(client: ServerClient, shown: RolloutView, known: FleetSnapshot | None) -> tuple[WindowView, ...]:
    is_same = known is not None and known.shown is not None and known.shown.rollout == shown.rollout
    before = known.windows if known is not None and is_same else ()
    after = max((view.id for view in before), default=0)
    fresh = tuple(client.list_windows(after=after, rollout=shown.rollout, limit=WINDOWS_PER_POLL))
    return (*before, *fresh)[-WINDOWS_MAX:]
