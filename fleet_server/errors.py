"""Errors of the fleet server; each knows the HTTP code it becomes and what the reader can do."""


class FleetError(Exception):
    """Root of the fleet server's errors: `advice` says what to do about it."""

    http_code = 400

    def __init__(self, message: str, advice: str = "") -> None:
        """Keep the advice beside the message."""
        super().__init__(message)
        self.advice = advice


class RefusedError(FleetError):
    """The request is understood and can not be granted as it is."""

    http_code = 422


class NotFoundError(FleetError):
    """What is asked for does not exist here."""

    http_code = 404


class ConflictError(FleetError):
    """The state moved on, or another one than the request expects."""

    http_code = 409


class NotKnownError(FleetError):
    """No valid credentials."""

    http_code = 401


class NotAllowedError(FleetError):
    """The credentials are valid and do not reach this far."""

    http_code = 403


class TooManyError(FleetError):
    """Too many attempts in a short time."""

    http_code = 429


class TimedOutError(FleetError):
    """The body did not come in time."""

    http_code = 408


class TooLargeError(FleetError):
    """The body is larger than its bound."""

    http_code = 413


class FullError(FleetError):
    """There is no room left for this: a cap is reached, or the disk is full."""

    http_code = 507


class SetupError(FleetError):
    """The server can not start with these options or this data folder."""

    http_code = 500
