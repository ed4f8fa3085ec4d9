"""`eyelet-studio bundle`: a version with all that vouches for it, in one file for a USB stick."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desktop_app.commands.server_options import read_token_for, root_key_option, server_options
from desktop_app.commands.terminal import ask_passphrase, json_option, keys_option, print_result, project_option

if TYPE_CHECKING:
    from contract.package import Package
    from desktop_app.release.bundling import BundleSource


@click.command("bundle")
@click.argument("package", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The bundle; by default NAME-VERSION.eyelet-bundle here.")
@click.option(
    "--application", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="An application's document that goes along."
)
@server_options
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), help="From a folder that was published into.")
@root_key_option
@project_option
@keys_option
@json_option
def command(package: Path, out: Path | None, application: Path | None, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Bundle PACKAGE for devices without a network: `eyelet-agent install FILE`, or a stick in the folder that they watch.

    With --server, for devices of that server's fleet: the version must be published there. With
    --folder, the same from a folder. With neither, the studio signs the online roles itself, for
    devices that have pinned its root.
    """
    from contract.errors import ContractError
    from contract.package import opened
    from desktop_app.errors import ReleaseError
    from desktop_app.release.bundling import bundle_version
    from desktop_app.release.keys import KeyStore, check_store
    from desktop_app.release.publishing import read_application

    if options["folder"] and options["server"]:
        raise click.UsageError("give either --server URL or --folder FOLDER, or neither")
    document = read_application(application)[0] if application is not None else None
    check_store(options["keys_folder"])
    store = KeyStore(options["keys_folder"], ask_passphrase())
    try:
        with opened(package, store.trusted_keys()) as checked, _open_source(store, checked, document, options) as source:
            manifest = checked.manifest
            file = out or Path(f"{manifest.name}-{manifest.version}.eyelet-bundle")
            result = bundle_version(source, checked, file.absolute(), document)
    except ContractError as error:
        raise ReleaseError(f"{package.name} can not be bundled: {error}") from error
    print_result(result, describe(result), as_json=as_json)


@contextlib.contextmanager
def _open_source(store: Any, package: "Package", application: bytes | None, options: dict[str, Any]) -> Iterator["BundleSource"]:  # noqa: ANN401
    from desktop_app.release.bundling import FolderSource, ServerSource, scratch_folder
    from desktop_app.release.local_repository import LocalRepository
    from desktop_app.release.outlets import FolderOutlet
    from desktop_app.release.publishing import publish_application, publish_version, read_acceptance
    from desktop_app.release.server_client import ServerClient

    if options["server"]:
        with ServerClient(options["server"], read_token_for(options["server"], options["token_file"])) as client:
            yield ServerSource(client)
    elif options["folder"]:
        yield FolderSource(options["folder"])
    else:
        with scratch_folder() as folder:
            outlet = FolderOutlet(LocalRepository(store, folder, root_files=options["root_keys"]))
            publish_version(outlet, package, read_acceptance(options["project"] / "acceptance" / package.manifest.name))
            if application is not None:
                publish_application(outlet, application)
            yield FolderSource(folder)


def describe(result: Any) -> str:  # noqa: ANN401
    """What was bundled, in plain words."""
    what = f"{result.name} version {result.version}" + (f" with the application {result.application}" if result.application else "")
    return "\n".join(
        [
            f"{what} is bundled in {result.file} ({result.size_bytes / 1e6:.1f} MB)",
            f"devices take it until {result.expires_at}",
            f"a device without a fleet pins its root once: eyelet-agent trust root FILE --sha256 {result.root_sha256}",
        ]
    )
