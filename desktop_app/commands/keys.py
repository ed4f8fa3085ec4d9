"""`eyelet-studio keys`: make, list, renew, back up and restore the signing keys, and hand out their public halves."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desktop_app.commands.server_options import root_key_option, server_and_keys, server_options
from desktop_app.commands.terminal import ask_passphrase, json_option, keys_option, print_result

if TYPE_CHECKING:
    from desktop_app.release.renewing import Renewal


@click.group("keys")
def command() -> None:
    """The keys that sign what devices may run. They stay with people and are encrypted at rest."""


@command.command("init")
@keys_option
@json_option
def init(keys_folder: Path, as_json: bool) -> None:
    """Make the keys of a new studio: three root keys, two of them to be moved away, and the targets key."""
    from desktop_app.release.keys import MOVE_AWAY, RECOVERY_FILE, SECOND_FILE, init_keys, list_keys

    init_keys(keys_folder, ask_passphrase(confirm=True))
    away = keys_folder / MOVE_AWAY
    text = (
        f"Keys made in {keys_folder}.\n"
        f"After the first publication move these two away; two of the three root keys are needed to change who is trusted:\n"
        f"  {away / RECOVERY_FILE}   to a safe place\n"
        f"  {away / SECOND_FILE}   to a second person"
    )
    print_result(list_keys(keys_folder), text, as_json=as_json)


@command.command("list")
@keys_option
@json_option
def list_(keys_folder: Path, as_json: bool) -> None:
    """List every key, and warn of trust that expires soon; needs no passphrase."""
    from desktop_app.release.keys import list_keys

    infos = list_keys(keys_folder)
    lines = [f"{info.name:24} {info.keyid[:16]}…  {'here' if info.private else 'elsewhere':9}  {info.purpose}" for info in infos]
    print_result(infos, "\n".join(lines), as_json=as_json)
    for warning in _warnings(keys_folder):
        click.echo(f"Warning: {warning}", err=True)


def _warnings(keys_folder: Path) -> list[str]:
    from desktop_app.release.repositories import repository_warnings

    return repository_warnings(keys_folder)


@command.command("renew")
@server_options
@root_key_option
@click.option("--online-key", is_flag=True, help="Let the server's present online key sign, instead of the one before (it was replaced).")
@keys_option
@json_option
def renew(
    server: str | None, token_file: Path | None, *, root_keys: tuple[Path, ...], online_key: bool, keys_folder: Path, as_json: bool
) -> None:
    """Sign the next root of trust, and what ends within 60 days, and publish it to the server.

    Two of the three root keys are needed: name the one that is kept elsewhere with --root-key.
    Without a server, what is signed goes out with the next publication.
    """
    from desktop_app.release.renewing import renew_here, renew_server

    if not server and online_key:
        raise click.UsageError("--online-key takes the key of a server: name it with --server URL (or EYELET_SERVER)")
    if server:
        with server_and_keys(server, token_file, keys_folder) as (client, store):
            renewals = [renew_server(client, store, root_keys, take_online_key=online_key)]
    else:
        from desktop_app.release.keys import KeyStore, check_store

        check_store(keys_folder)
        renewals = renew_here(KeyStore(keys_folder, ask_passphrase()), root_keys)
    print_result(renewals, "\n".join(_describe(renewal) for renewal in renewals), as_json=as_json)


def _describe(renewal: "Renewal") -> str:
    where = "is published" if renewal.versions else f"of the repository {renewal.repository} goes out with the next publication"
    text = f"root {renewal.root_version} {where}; it ends on {renewal.root_expires[:10]}"
    text += f"; signed again: {', '.join(renewal.roles)}" if renewal.roles else ""
    return text + (f"; the server's new online key is {renewal.new_online_key[:16]}…" if renewal.new_online_key else "")


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@keys_option
@json_option
def backup(file: Path, keys_folder: Path, as_json: bool) -> None:
    """Write all keys and the trust repository into FILE, encrypted with the keys' passphrase."""
    from desktop_app.release.key_backup import backup_keys
    from desktop_app.release.keys import KeyStore, check_store

    check_store(keys_folder)
    passphrase = ask_passphrase()
    count = backup_keys(KeyStore(keys_folder, passphrase), passphrase, file)
    print_result(
        {"file": file, "files": count}, f"{count} files of {keys_folder} are in {file}; keep the passphrase elsewhere", as_json=as_json
    )


@command.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace keys that are there; they are kept beside the new ones.")
@keys_option
@json_option
def restore(file: Path, force: bool, keys_folder: Path, as_json: bool) -> None:
    """Put a backup back, whole or not at all."""
    from desktop_app.release.key_backup import restore_keys

    count = restore_keys(file, ask_passphrase(), keys_folder, force=force)
    print_result({"folder": keys_folder, "files": count}, f"{count} files are restored into {keys_folder}", as_json=as_json)


@command.command("export-public")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--key", "names", multiple=True, help="Only this key, e.g. model-digits. Repeatable.  [default: all]")
@keys_option
@json_option
def export(folder: Path, names: tuple[str, ...], keys_folder: Path, as_json: bool) -> None:
    """Write public keys into FOLDER, to be given to devices (eyelet-agent trust add FILE)."""
    from desktop_app.release.keys import export_public

    written = export_public(keys_folder, folder, names)
    print_result(written, "\n".join(str(path) for path in written), as_json=as_json)
