"""The studio's errors: one root, each with a sentence for the user and what to do next."""


class StudioError(Exception):
    """Root of the studio's errors.

    The message says whose fault it is, what was expected and what came; `advice` says what to do.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        """Keep `advice` apart from the message, so that a window can show it on a line of its own."""
        super().__init__(message)
        self.advice = advice


class ProjectError(StudioError):
    """A project folder is missing, taken, broken, or written by a newer studio."""


class SourceError(StudioError):
    """What was to be imported can not be read as a whole (a single bad file only gives a `Refused`)."""


class DataError(StudioError):
    """A sample, a blob or a catalogue entry is missing or not what it should be."""


class VersionError(StudioError):
    """A dataset version or an acceptance set can not be frozen or found."""


class JobError(StudioError):
    """A job is unknown, its request is broken, or its process failed."""


class JobCancelledError(StudioError):
    """The user cancelled the job; nothing is wrong."""


class TrainingError(StudioError):
    """A recipe or a run is broken, or training can not go on."""


class EvaluationError(StudioError):
    """A run can not be evaluated."""


class ReleaseError(StudioError):
    """A run can not be converted or packaged, or a package can not be published."""


class KeyStoreError(StudioError):
    """A key is missing or locked, or a passphrase is wrong."""
