"""All keys and the TUF repository as one encrypted file, and back: whole or not at all.

The file is a line of text, a salt, a nonce, and AES-256-GCM over a JSON document; the key is made
from the passphrase with scrypt. The two root keys in `move-away` are left out on purpose: two of
three root keys in one file would be one lock instead of two.
"""

import base64
import os
import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, write_atomic
from contract.names import is_file_name
from desktop_app.errors import KeyStoreError
from desktop_app.release.folder_lock import locked
from desktop_app.release.keys import MOVE_AWAY, STORE_NAME, KeyStore, check_store

MAGIC = b"eyelet-keys-backup-1\n"
BACKUP_MAX_BYTES = 64 << 20
SALT_BYTES = 16
NONCE_BYTES = 12


class _Backup(msgspec.Struct, frozen=True):
    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    created_at: str
    files: dict[str, str]  # base64 by relative name


def backup_keys(store: KeyStore, passphrase: str, destination: Path) -> int:
    """Write every file of the key store but `move-away`, encrypted; returns how many."""
    with locked(store.folder):
        names = [path.relative_to(store.folder).as_posix() for path in sorted(store.folder.rglob("*")) if path.is_file()]
        kept = [name for name in names if is_file_name(name) and not name.startswith(f"{MOVE_AWAY}/")]
        files = {name: base64.b64encode((store.folder / name).read_bytes()).decode() for name in kept}
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = AESGCM(_derive(passphrase, salt)).encrypt(nonce, encode(_Backup(1, utc_now(), files)), MAGIC)
    write_atomic(destination, MAGIC + salt + nonce + sealed, mode=0o600)
    return len(files)


def restore_keys(source: Path, passphrase: str, folder: Path, *, force: bool = False) -> int:
    """Put a backup back as `folder`, all or nothing; returns how many files.

    With `force` a key store that is there is replaced; it is kept beside the new one, with
    `.replaced` and the time in its name.

    Raises:
        KeyStoreError: the file is no backup, was changed or cut short, the passphrase is wrong, or
            the folder is in use and `force` is not given.
    """
    if folder.exists() and any(folder.iterdir()) and not force:
        raise KeyStoreError(f"{folder} is not empty; its keys would be lost", "Restore into another folder, or say --force to replace it")
    files = _open_backup(source, passphrase)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".restore."))
    try:
        for name, data in files.items():
            write_atomic(temporary / name, data, mode=0o600 if name.startswith("private/") else 0o644)
        check_store(temporary)
        KeyStore(temporary, passphrase)
        if folder.exists():
            folder.rename(folder.with_name(f"{folder.name}.replaced-{utc_now().replace(':', '')}"))
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(files)


def _open_backup(source: Path, passphrase: str) -> dict[str, bytes]:
    try:
        data = read_bounded(source, BACKUP_MAX_BYTES)
    except (OSError, ContractError) as error:
        raise KeyStoreError(f"the backup can not be read: {error}") from error
    head = len(MAGIC) + SALT_BYTES + NONCE_BYTES
    if not data.startswith(MAGIC) or len(data) < head:
        raise KeyStoreError(f"{source.name} is no backup of keys", "Give the file that 'eyelet-studio keys backup' wrote")
    salt, nonce = data[len(MAGIC) : len(MAGIC) + SALT_BYTES], data[head - NONCE_BYTES : head]
    try:
        document = AESGCM(_derive(passphrase, salt)).decrypt(nonce, data[head:], MAGIC)
    except InvalidTag as error:
        raise KeyStoreError(f"{source.name} can not be opened: the passphrase is wrong, or the file was changed or cut short") from error
    try:
        backup = decode(document, _Backup, "the backup", BACKUP_MAX_BYTES)
        files = {name: base64.b64decode(content, validate=True) for name, content in backup.files.items()}
    except (ContractError, ValueError) as error:
        raise KeyStoreError(f"{source.name} is broken inside: {error}") from error
    if STORE_NAME not in files or not all(map(is_file_name, files)):
        raise KeyStoreError(f"{source.name} holds no keys, or names outside their folder")
    return files


def _derive(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase.encode())
