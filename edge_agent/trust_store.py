"""The public keys that this device's owner trusts for lone packages: one `*.pub.json` file each."""

from pathlib import Path

from contract.errors import ContractError
from contract.files import read_bounded, sha256_of, write_atomic
from contract.names import slug
from contract.signing import KEY_MAX_BYTES, PublicKey, public_key_from_bytes

_SUFFIX = ".pub.json"
PINNED_ROOT = "root.json"


class TrustError(Exception):
    """A key can not be added or removed."""


class TrustStore:
    """The keys in one folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keys(self) -> dict[str, PublicKey]:
        """All trusted keys by name.

        Raises:
            TrustError: a file in the folder is no public key.
        """
        found = {}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                name, key = public_key_from_bytes(read_bounded(path, KEY_MAX_BYTES))
            except (ContractError, OSError) as error:
                raise TrustError(f"{path} can not be used: {error}. Remove the file") from error
            found[name] = key
        return found

    def add(self, file: Path) -> tuple[str, PublicKey]:
        """Trust a key from a `*.pub.json` file; returns its name and key.

        Raises:
            TrustError: the file is none, or its name belongs to another key already.
            OSError: it can not be read.
        """
        try:
            data = read_bounded(file, KEY_MAX_BYTES)
            name, key = public_key_from_bytes(data)
        except ContractError as error:
            raise TrustError(f"{file.name} is no public key: {error}. Export one with `eyelet-studio keys export-public`") from error
        known = self.keys()
        if name in known and known[name].keyid != key.keyid:
            raise TrustError(f"another key is trusted as {name!r} already ({known[name].keyid[:16]}…); remove that first")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path(name, key), data)
        return name, key

    def remove(self, name: str) -> None:
        """Trust a key no longer.

        Raises:
            TrustError: no key has this name.
        """
        known = self.keys()
        if name not in known:
            raise TrustError(f"no key is named {name!r}; trusted are: {', '.join(known) or 'none'}")
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if public_key_from_bytes(read_bounded(path, KEY_MAX_BYTES))[0] == name:
                path.unlink()

    def _path(self, name: str, key: PublicKey) -> Path:
        return self._folder / f"{slug(name)}-{key.keyid[:8]}{_SUFFIX}"


def pin_root(folder: Path, root: bytes, sha256: str) -> None:
    """Pin a TUF root whose digest the device's owner has from the studio; bundles are judged by it from now on.

    Raises:
        TrustError: it has another digest, or another root is pinned already.
    """
    found = sha256_of(root)
    if found != sha256.strip().lower():
        raise TrustError(f"the root has SHA-256 {found}, expected {sha256[:80]}: it is not the one that was meant")
    path = folder / PINNED_ROOT
    if path.exists() and path.read_bytes() != root:
        raise TrustError(f"another root is pinned already; if you mean to replace it, remove {path} first")
    write_atomic(path, root)
