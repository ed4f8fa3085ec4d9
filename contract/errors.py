"""Every way in which something from outside can break the contract, as one family of exceptions.

Each message says whose fault it is, what was expected, what came and what to do.
"""


class ContractError(Exception):
    """Root of all errors of the contract."""


class SizeError(ContractError):
    """Something is larger (or a collection longer) than its bound; raised before it is parsed."""


class FormatError(ContractError):
    """Bytes are not what they claim to be: broken JSON, a missing field, a wrong type."""


class SchemaVersionError(ContractError):
    """A document was written for a newer schema version than this program reads."""

    def __init__(self, what: str, found: int, known: int) -> None:
        """Keep both numbers: `found` in the document, `known` to this program."""
        super().__init__(
            f"{what} has schema version {found}; this program reads up to {known}. "
            "Update this program, or ask for the document in the older version."
        )
        self.found = found
        self.known = known


class InvalidNameError(ContractError):
    """A name (device, model, file, …) breaks its pattern."""


class DigestError(ContractError):
    """A file's SHA-256 or length is not the one that was promised."""


class SignatureError(ContractError):
    """A signature is missing, wrong, or by a key that is not trusted for this."""


class StrangerError(SignatureError):
    """Something is signed by nobody who is trusted for this."""


class PackageError(ContractError):
    """A package is broken: truncated, with unlisted, duplicate, absolute or linked entries."""
