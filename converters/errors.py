"""What can go wrong in a conversion, in words that say whose fault it is and what to do."""


class ConversionError(Exception):
    """Root of all errors of the converters; `advice` says what to do, in one sentence."""

    def __init__(self, message: str, advice: str = "") -> None:
        """Keep the advice apart, so that a window can show it on a line of its own."""
        super().__init__(message)
        self.advice = advice

    @property
    def in_words(self) -> str:
        """Message and advice as one text."""
        return f"{self}. {self.advice}" if self.advice else str(self)


class SourceError(ConversionError):
    """The model that was given is not one that can be converted."""


class SamplesError(ConversionError):
    """Calibration or evaluation samples do not fit the model."""


class StepError(ConversionError):
    """A step of a conversion can not do its work on this model, or did not keep its promise."""
