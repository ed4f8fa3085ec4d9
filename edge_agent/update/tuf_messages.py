"""What the agent and its TUF child say to each other; apart from the child, so that the supervisor does not load TUF's library."""

import msgspec

from contract.manifest import FileEntry

UNTRUSTED, UNREACHABLE, REFUSED, NO_SPACE = "untrusted", "unreachable", "refused", "no space"


class TufRequest(msgspec.Struct, frozen=True):
    """What to ask the repository for. Paths are those of files and folders on this device.

    With `bundle_file` a bundle is the repository, and no server is asked.
    """

    server_url: str
    device: str
    password_file: str
    ca_file: str
    root_file: str
    metadata_folder: str
    objects_folder: str
    targets: tuple[str, ...]
    bundle_file: str = ""


class TufAnswer(msgspec.Struct, frozen=True):
    """`targets` has each wanted path: digest and length, or None where nobody vouches for it.

    With `error`, `kind` says whether the repository is `untrusted`, `unreachable`, the server
    `refused` this device, or there is `no space` on this device's disk.
    """

    targets: dict[str, FileEntry | None] = {}
    error: str = ""
    kind: str = ""
