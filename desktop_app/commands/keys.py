"""`eyelet-studio keys`: make, list, back up and restore the signing keys, and hand out their public halves."""

from pathlib import Path

import click

from desktop_app.commands.terminal import ask_passphrase, json_option, keys_option, print_result


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
