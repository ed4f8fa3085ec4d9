"""Field samples on which a candidate in the shadow gives another label than the version that serves.

The candidate's own process keeps them: it has the sample. The application's `on_disagreement` and the
device's `capture_samples` must both say so, and cap, pace and redaction are those of all field samples.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contract.application import Application
from contract.samples import FieldSample
from edge_agent.capture.choice import DISAGREEMENT
from edge_agent.capture.field_samples import FieldSamples, open_keeper
from edge_agent.last_good_settings import load_settings_in_force
from edge_agent.worker.messages import Served, WorkerRequest

if TYPE_CHECKING:
    from edge_agent.worker.shadow_frames import Pair


class Candidate(NamedTuple):
    """Whose answer differs."""

    model: str
    version: int


class DisagreementSamples:
    """Made by `open_disagreement_samples`."""

    def __init__(self, application: Application, samples: FieldSamples, served: Served, candidate: Candidate) -> None:
        self._application = application
        self._samples = samples
        self._served = served
        self._candidate = candidate

    def offer(self, pair: "Pair", label: str, now_s: float) -> bool:
        """Keep the sample of a pair to which the candidate gave another `label`; never blocks. Returns whether it was chosen."""
        head, application = pair.head, self._application
        line = FieldSample(
            FieldSample.SCHEMA_VERSION,
            at=head.at,
            application=application.name,
            application_version=application.version,
            model=self._candidate.model,
            version=self._served.version,
            variant=self._served.variant,
            source=head.source,
            label=head.label,
            score=round(head.score, 6),
            scores=[round(score, 6) for score in head.scores],
            reason=DISAGREEMENT,
            candidate_version=self._candidate.version,
            candidate_label=label,
        )
        return self._samples.keep(pair.sample, line, now_s)

    def close(self) -> None:
        """Write what waits, then end."""
        self._samples.close()


def open_disagreement_samples(request: WorkerRequest, candidate: Candidate) -> DisagreementSamples | None:
    """What is kept for the application of `request`; None where it wants nothing, or where the device does not allow it.

    Raises:
        SettingsError: the device's settings can not be read.
    """
    application, served, folder = request.application, request.in_shadow_of, Path(request.data_folder)
    if application is None or served is None or not application.capture.on_disagreement:
        return None
    samples = open_keeper(application, load_settings_in_force(folder), folder, request.slot)
    return DisagreementSamples(application, samples, served, candidate) if samples is not None else None
