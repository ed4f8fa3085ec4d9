"""A version from a bundle on a stick: the same TUF client and the same steps as from a server, with the bundle in the server's place."""

from pathlib import Path

from contract.bundle import BUNDLE_SUFFIX, BundleIndex, opened_bundle
from contract.errors import ContractError, PackageError
from contract.manifest import FileEntry
from contract.states import FailureReason
from edge_agent.enrolment import ENROLMENT_FILE
from edge_agent.home import Home
from edge_agent.trust_store import PINNED_ROOT
from edge_agent.update.disk import Disk
from edge_agent.update.downloads import PARTIAL, WrongContentError, put_in_place
from edge_agent.update.lone_package import LONE_POLICY
from edge_agent.update.plan import Documents, StepFailedError
from edge_agent.update.records import Wish
from edge_agent.update.repository import ask_tuf, read_documents, target_paths
from edge_agent.update.tuf_messages import NO_SPACE, UNTRUSTED, TufRequest


def bundle_name(index: BundleIndex) -> str:
    """What a bundle is called in the inbox."""
    return index.manifest.sha256 + BUNDLE_SUFFIX


def wish_for_bundle(index: BundleIndex, *, force: bool = False) -> Wish:
    """The wish to run what a bundle is about; its revision is given when it is taken from the inbox."""
    model = index.as_wish(force=force)
    return Wish(1, model, index.application, LONE_POLICY, package=bundle_name(index))


def find_root(home: Home) -> Path | None:
    """The root that vouches for bundles: the fleet's, else the one that this device's owner pinned; None where there is none."""
    root = home.identity / "root.json" if (home.identity / ENROLMENT_FILE).exists() else home.trust / PINNED_ROOT
    return root if root.exists() else None


async def fetch_bundled_documents(home: Home, wish: Wish) -> Documents:
    """The documents of a wish, from the bundle that lies in the inbox.

    Raises:
        StepFailedError: the bundle is stale, wrongly signed, rolled back or not whole, or nobody here vouches for bundles.
    """
    root, paths = find_root(home), target_paths(wish)
    if root is None:
        raise StepFailedError(
            FailureReason.NOT_TRUSTED, "no root of trust is pinned here: enrol the device, or use `eyelet-agent trust root` first"
        )
    request = TufRequest(
        server_url="",
        device="",
        password_file="",
        ca_file="",
        root_file=str(root),
        metadata_folder=str(home.tuf),
        objects_folder=str(home.objects),
        targets=tuple(paths.values()),
        bundle_file=str(_find_bundle(home, wish)),
    )
    answer = await ask_tuf(request)
    if answer.error:
        reason = {UNTRUSTED: FailureReason.NOT_TRUSTED, NO_SPACE: FailureReason.NO_SPACE}.get(answer.kind, FailureReason.DOWNLOAD)
        raise StepFailedError(reason, f"the bundle is refused: {answer.error}")
    return read_documents(home, paths, answer)


def take_from_bundle(home: Home, wish: Wish, entry: FileEntry, disk: Disk) -> None:
    """Make one of the bundle's files an object, after its length and digest were checked.

    Raises:
        StepFailedError: the bundle lacks it, or has something else in its place.
        OSError: the disk failed.
    """
    partial = home.objects / PARTIAL / entry.sha256
    disk.make_folder(partial.parent)
    try:
        with opened_bundle(_find_bundle(home, wish)) as bundle:
            if bundle.artifact_size(entry.sha256) != entry.size_bytes:
                raise PackageError(f"the bundle lacks {entry.sha256[:16]}…, or has it in another length")
            disk.write(partial, b"")
            for piece in bundle.artifact(entry.sha256):
                disk.append(partial, piece)
        put_in_place(entry, partial, home.objects / entry.sha256, disk)
    except (ContractError, WrongContentError) as error:
        raise StepFailedError(FailureReason.NOT_TRUSTED, f"the bundle is refused: {error}") from error


def _find_bundle(home: Home, wish: Wish) -> Path:
    path = home.inbox / wish.package
    if not path.is_file():
        raise StepFailedError(FailureReason.DOWNLOAD, "the bundle is no longer in the inbox; install it again")
    return path
