"""Names in the TUF repository: one delegated role per registered model and per application.

A target is a small document (a manifest, an acceptance set, a policy, an application); the large
files that a manifest lists are fetched by digest and need no target of their own.
"""

from typing import Annotated, ClassVar

import msgspec

from contract.errors import InvalidNameError
from contract.manifest import Id
from contract.names import check_id

MODEL_ROLE_PREFIX = "model-"
APPLICATION_ROLE_PREFIX = "application-"
ROOT_THRESHOLD = 2
ROOT_KEYS = 3


class ModelPolicy(msgspec.Struct, frozen=True):
    """What the owner of a model says about all its versions, as a target beside them."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    model: Id
    min_version: Annotated[int, msgspec.Meta(ge=1)]


def model_role(model: str) -> str:
    """Name of the TUF role that signs a model's targets."""
    return MODEL_ROLE_PREFIX + check_id(model, "model")


def application_role(application: str) -> str:
    """Name of the TUF role that signs an application's targets."""
    return APPLICATION_ROLE_PREFIX + check_id(application, "application")


def next_online_version(last: int, now_s: float) -> int:
    """Number of the next snapshot or timestamp: the milliseconds since 1970, and always above `last` (0: there is none).

    A counter alone would fall back behind what devices have seen when an older copy of a server or
    folder is put back; the time does not. See docs/decisions/0008-online-versions-from-the-clock.md.
    """
    return max(last + 1, int(now_s * 1000))


def role_paths(role: str) -> list[str]:
    """Target paths that a role may sign: those of its own model or application and no others.

    Raises:
        InvalidNameError: it is no role of a model or application.
    """
    for prefix, folder in ((MODEL_ROLE_PREFIX, "models"), (APPLICATION_ROLE_PREFIX, "applications")):
        if role.startswith(prefix):
            return [f"{folder}/{check_id(role[len(prefix) :], 'role')}/*"]
    raise InvalidNameError(f"{role[:80]!r} is not the role of a model or an application")


def manifest_target(model: str, version: int) -> str:
    """Target path of a version's manifest."""
    return f"models/{check_id(model, 'model')}/{version}.json"


def acceptance_target(model: str) -> str:
    """Target path of a model's acceptance set."""
    return f"models/{check_id(model, 'model')}/acceptance.json"


def policy_target(model: str) -> str:
    """Target path of a model's policy."""
    return f"models/{check_id(model, 'model')}/policy.json"


def application_target(application: str, version: int) -> str:
    """Target path of an application's version."""
    return f"applications/{check_id(application, 'application')}/{version}.json"
