"""The studio's signing keys: private halves encrypted at rest, public halves as files that people exchange.

Folder: `keystore.json`, `private/<name>.pem` (PKCS 8, encrypted), `public/<name>.pub.json`, and
`move-away/` with the two root keys that are to be kept elsewhere. The TUF repository lives beside
them in `repository/`, because its versions may only rise and so belong into the same backup.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, write_atomic
from contract.signing import (
    KEY_MAX_BYTES,
    PrivateKey,
    PublicKey,
    generate_key,
    public_key_from_bytes,
    public_key_to_bytes,
    read_private_key,
    write_private_key,
)
from contract.trust import MODEL_ROLE_PREFIX, ROOT_THRESHOLD, application_role, model_role
from desktop_app.errors import KeyStoreError
from desktop_app.release.folder_lock import locked

ROOT_STUDIO = "root-studio"
ROOT_RECOVERY = "root-recovery"
ROOT_SECOND = "root-second"
ROOT_NAMES = (ROOT_STUDIO, ROOT_RECOVERY, ROOT_SECOND)
TARGETS = "targets"
ONLINE = "online"  # only where no server plays the online roles
RECOVERY_FILE = "recovery-root.pem"
SECOND_FILE = "second-root.pem"
MOVE_AWAY = "move-away"
REPOSITORY = "repository"
STORE_NAME = "keystore.json"
_STORE_MAX_BYTES = 64 * 1024

_HINT = """These two files are root keys of your fleet. Two of the three root keys (yours and these two)
are needed to change who is trusted, so keep each of them in another place than this computer:

  {recovery}   on a USB stick or on paper, in a safe: for the day this computer is lost
  {second}     with a second person, who then has a say

Both are encrypted with the passphrase that the keys had on {date}. The second person can choose
one of their own with: openssl pkcs8 -topk8 -in {second} -out mine.pem

They are needed once more when you publish to a fleet server for the first time, to sign the first
root document; after that move them away and delete this folder.
"""


class _Store(msgspec.Struct, frozen=True):
    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    created_at: str


class KeyInfo(msgspec.Struct, frozen=True):
    """One key as it is listed; `purpose` says in words what it signs."""

    name: str
    keyid: str
    purpose: str
    private: bool  # whether the private half is in this folder


class KeyStore:
    """The keys of one folder, opened with its passphrase.

    Raises:
        KeyStoreError: there are no keys in the folder, or the passphrase is wrong.
    """

    def __init__(self, folder: Path, passphrase: str) -> None:
        self.folder = folder
        self._passphrase = passphrase
        check_store(folder)
        self.private_key(TARGETS)  # a wrong passphrase is found now, not in the middle of the work

    def private_key(self, name: str) -> PrivateKey:
        """A private key by name.

        Raises:
            KeyStoreError: it is not here, or the passphrase is wrong.
        """
        path = _private_path(self.folder, name)
        if not path.is_file():
            raise KeyStoreError(f"the key {name!r} is not in {self.folder}", "Restore a backup with: eyelet-studio keys restore FILE")
        return _open_key(path, self._passphrase)

    def public_key(self, name: str) -> PublicKey:
        """A public key by name.

        Raises:
            KeyStoreError: there is none.
        """
        return read_public(self.folder, name)

    def model_key(self, model: str) -> PrivateKey:
        """The key that signs a model's versions; made on first use."""
        return self._find_or_make(model_role(model))

    def application_key(self, application: str) -> PrivateKey:
        """The key that signs an application's versions; made on first use."""
        return self._find_or_make(application_role(application))

    def online_key(self) -> PrivateKey:
        """The key of snapshot and timestamp where no server plays these roles; made on first use."""
        return self._find_or_make(ONLINE)

    def trusted_keys(self) -> dict[str, PublicKey]:
        """Public keys of all models by name, to check packages with."""
        return {info.name: self.public_key(info.name) for info in list_keys(self.folder) if info.name.startswith(MODEL_ROLE_PREFIX)}

    def root_signers(self, extra_files: Sequence[Path] = ()) -> list[PrivateKey]:
        """Enough root keys to sign a root document: the studio's, and one that is still in `move-away` or given as a file.

        Raises:
            KeyStoreError: fewer than two are at hand.
        """
        moved = [self.folder / MOVE_AWAY / RECOVERY_FILE, self.folder / MOVE_AWAY / SECOND_FILE]
        wanted = {self.public_key(name).keyid for name in ROOT_NAMES}
        found = {self.private_key(ROOT_STUDIO).keyid: self.private_key(ROOT_STUDIO)}
        for path in [*extra_files, *(path for path in moved if path.is_file())]:
            key = _open_key(path, self._passphrase)
            if key.keyid not in wanted:
                raise KeyStoreError(f"{path.name} is none of this studio's root keys")
            found[key.keyid] = key
        if len(found) < ROOT_THRESHOLD:
            raise KeyStoreError(
                f"the root of trust needs {ROOT_THRESHOLD} of 3 keys and only the studio's own is here",
                f"Give the recovery key or the second person's with --root-key FILE ({RECOVERY_FILE} or {SECOND_FILE})",
            )
        return list(found.values())[:ROOT_THRESHOLD]

    def _find_or_make(self, name: str) -> PrivateKey:
        with locked(self.folder):
            if not _private_path(self.folder, name).is_file():
                _keep(self.folder, name, generate_key(), self._passphrase)
            return self.private_key(name)


def init_keys(folder: Path, passphrase: str) -> KeyStore:
    """Make the keys of a new studio: root (three, two of them to be moved away) and targets.

    Raises:
        KeyStoreError: there are keys already, or the passphrase is empty.
    """
    if (folder / STORE_NAME).exists() or (folder / "private").exists():
        raise KeyStoreError(f"{folder} holds keys already", "Choose another folder with --keys, or go on with these")
    if not passphrase:
        raise KeyStoreError("the passphrase is empty; private keys are never kept unencrypted", "Choose one of several words")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (ROOT_STUDIO, TARGETS):
        _keep(folder, name, generate_key(), passphrase)
    for name, file_name in ((ROOT_RECOVERY, RECOVERY_FILE), (ROOT_SECOND, SECOND_FILE)):
        key = generate_key()
        write_private_key(folder / MOVE_AWAY / file_name, key, passphrase)
        write_atomic(_public_path(folder, name), public_key_to_bytes(key.public, name))
    hint = _HINT.format(recovery=RECOVERY_FILE, second=SECOND_FILE, date=utc_now()[:10])
    write_atomic(folder / MOVE_AWAY / "READ-ME-FIRST.txt", hint.encode())
    write_atomic(folder / STORE_NAME, encode(_Store(1, utc_now())))  # last: it is what makes the folder a key store
    return KeyStore(folder, passphrase)


def check_store(folder: Path) -> None:
    """Check that a folder holds keys.

    Raises:
        KeyStoreError: it does not, or a newer studio wrote it.
    """
    path = folder / STORE_NAME
    if not path.is_file():
        raise KeyStoreError(f"there are no keys in {folder}", "Make them with: eyelet-studio keys init (or name their folder with --keys)")
    try:
        decode(read_bounded(path, _STORE_MAX_BYTES), _Store, "the key store")
    except ContractError as error:
        raise KeyStoreError(str(error)) from error


def list_keys(folder: Path) -> list[KeyInfo]:
    """Every key by name; needs no passphrase."""
    check_store(folder)
    names = sorted(path.name.removesuffix(".pub.json") for path in (folder / "public").glob("*.pub.json"))
    return [KeyInfo(name, read_public(folder, name).keyid, _purpose(name), _private_path(folder, name).is_file()) for name in names]


def read_public(folder: Path, name: str) -> PublicKey:
    """A public key of a folder by name.

    Raises:
        KeyStoreError: there is none, or its file is broken.
    """
    path = _public_path(folder, name)
    if not path.is_file():
        raise KeyStoreError(f"there is no key {name!r} in {folder}", "List them with: eyelet-studio keys list")
    try:
        return public_key_from_bytes(read_bounded(path, KEY_MAX_BYTES))[1]
    except ContractError as error:
        raise KeyStoreError(f"{path} is broken: {error}", "Restore a backup with: eyelet-studio keys restore FILE") from error


def export_public(folder: Path, destination: Path, names: Iterable[str] = ()) -> list[Path]:
    """Copy public keys into a folder, to be given to others (`eyelet-agent trust add FILE`); all where no name is given."""
    chosen = list(names) or [info.name for info in list_keys(folder)]
    written = []
    for name in chosen:
        data = public_key_to_bytes(read_public(folder, name), name)
        written.append(destination / f"{name}.pub.json")
        write_atomic(written[-1], data)
    return written


def _open_key(path: Path, passphrase: str) -> PrivateKey:
    try:
        return read_private_key(path, passphrase)
    except ContractError as error:
        raise KeyStoreError(str(error), "Give the right passphrase (EYELET_PASSPHRASE, or when asked)") from error


def _keep(folder: Path, name: str, key: PrivateKey, passphrase: str) -> None:
    write_atomic(_public_path(folder, name), public_key_to_bytes(key.public, name))
    write_private_key(_private_path(folder, name), key, passphrase)


def _private_path(folder: Path, name: str) -> Path:
    return folder / "private" / f"{name}.pem"


def _public_path(folder: Path, name: str) -> Path:
    return folder / "public" / f"{name}.pub.json"


def _purpose(name: str) -> str:
    fixed = {
        ROOT_STUDIO: "root of trust, 1 of 3: this studio's",
        ROOT_RECOVERY: "root of trust, 2 of 3: to be kept elsewhere",
        ROOT_SECOND: "root of trust, 3 of 3: a second person's",
        TARGETS: "says which key may sign which model",
        ONLINE: "snapshot and timestamp, where no server signs them",
    }
    kind, _, subject = name.partition("-")
    return fixed.get(name) or f"versions of the {kind} {subject}"
