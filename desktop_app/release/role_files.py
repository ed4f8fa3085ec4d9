"""Role files in a folder, named `<version>.<role>.json`: which are the newest, and their bytes."""

from pathlib import Path

from contract.files import read_bounded

ROLE_MAX_BYTES = 2 << 20


def newest_versions(folder: Path) -> dict[str, int]:
    """The newest version of each role in a folder."""
    found: dict[str, int] = {}
    for path in folder.glob("*.*.json"):
        number, _, role = path.name.removesuffix(".json").partition(".")
        if number.isdigit():
            found[role] = max(found.get(role, 0), int(number))
    return found


def newest_roles(folder: Path) -> dict[str, bytes]:
    """The newest file of each role in a folder."""
    return {role: read_bounded(folder / f"{version}.{role}.json", ROLE_MAX_BYTES) for role, version in newest_versions(folder).items()}
