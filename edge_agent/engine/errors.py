"""Every way in which a model or an input can fail in the engine, as one family of exceptions."""


class EngineError(Exception):
    """Root of all errors of the engine."""


class RuntimeAbsentError(EngineError):
    """The runtime that a variant needs is not installed on this machine."""


class ModelRefusedError(EngineError):
    """A model file is broken, needs something that is not accepted, or does not fit its manifest."""


class StepRefusedError(EngineError):
    """A host step names an operation or an option that this agent does not know."""


class InputError(EngineError):
    """A raw input is not what the model takes: its name, type, shape or bytes."""


class InferenceError(EngineError):
    """The runtime failed while it computed."""
