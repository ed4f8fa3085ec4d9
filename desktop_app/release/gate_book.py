"""The gates before a package: a failed one stops, unless a person overrides it and says why; what was overridden is written down."""

from desktop_app.errors import ReleaseError

_HOW = 'Or override it, if you must: --override-gate "why". The reason becomes part of the package.'


class GateBook:
    """Failed gates of one package. `override` is the person's reason, empty where nobody overrides."""

    def __init__(self, override: str) -> None:
        self._override = " ".join(override.split())
        self._overridden: list[str] = []

    @property
    def overriding(self) -> bool:
        """Whether a person said why gates may be overridden."""
        return bool(self._override)

    def fail(self, fault: str, advice: str) -> None:
        """A gate failed.

        Raises:
            ReleaseError: nobody overrides it.
        """
        if not self._override:
            raise ReleaseError(fault, f"{advice} {_HOW}")
        self._overridden.append(fault)

    @property
    def in_words(self) -> str:
        """For the lineage: the reason and what it overrode; empty where no gate failed."""
        return f"{self._override} (overridden: {'; '.join(self._overridden)})" if self._overridden else ""
