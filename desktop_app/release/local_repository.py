"""A folder that is a whole TUF repository with its artifacts, where there is no server: the studio signs the online roles too.

Layout: `metadata/<version>.<role>.json` and `metadata/timestamp.json`, `targets/<folder>/<sha256>.<name>`,
`artifacts/<sha256>`. Any web server can serve it, and it can be carried on a USB stick.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Timestamp
from tuf.api.serialization import DeserializationError

from contract.files import CHUNK_BYTES, atomic_writer, read_bounded, sha256_of, write_atomic
from contract.signing import PrivateKey
from contract.trust import next_online_version
from desktop_app.errors import ReleaseError
from desktop_app.release.keys import KeyStore
from desktop_app.release.repositories import find_repository
from desktop_app.release.role_files import ROLE_MAX_BYTES
from desktop_app.release.tuf_repository import Clock, utc_clock
from desktop_app.release.tuf_roles import ROOT, SNAPSHOT, TIMESTAMP, new_snapshot, new_timestamp, sign_role


class LocalRepository:
    """The folder and the studio's repository behind it.

    Raises:
        KeyStoreError: the first root can not be signed, since only one root key is at hand.
    """

    def __init__(self, store: KeyStore, folder: Path, clock: Clock = utc_clock, root_files: Iterable[Path] = ()) -> None:
        self.folder = folder
        self._clock = clock
        self._key = store.online_key()
        self.repository = find_repository(store, self._key.public, clock)
        self.repository.set_online_key(self._key.public, list(root_files))

    @property
    def _metadata(self) -> Path:
        return self.folder / "metadata"

    def rotate_online_key(self, key: PrivateKey) -> None:
        """Go on with another online key: the next root names it."""
        self.repository.set_online_key(key.public)
        self._key = key

    def write_target(self, path: str, data: bytes) -> bool:
        """Put a target where a TUF client asks for it, and under its digest; False where it is there."""
        return self.write_artifact(sha256_of(data), data, path)

    def write_artifact(self, sha256: str, source: Path | bytes, target: str = "") -> bool:
        """Put a file under its digest and, as the target `target`, under its name; False where it is there."""
        places = [self.folder / "artifacts" / sha256]
        if target:
            parent, _, name = target.rpartition("/")
            places.append(self.folder / "targets" / parent / f"{sha256}.{name}")
        missing = [place for place in places if not place.is_file()]
        for place in missing:
            with atomic_writer(place) as file:
                if isinstance(source, bytes):
                    file.write(source)
                else:
                    with source.open("rb") as reader:
                        shutil.copyfileobj(reader, file, CHUNK_BYTES)
        return bool(missing)

    def write_metadata(self) -> dict[str, int]:
        """Write every role file, then snapshot, then, last, timestamp; returns the versions in force."""
        versions = self.repository.versions()
        for role, newest in versions.items():
            for version in range(1, newest + 1):
                body = self.repository.find_role(role, version)
                if body is not None and not (self._metadata / f"{version}.{role}.json").is_file():
                    write_atomic(self._metadata / f"{version}.{role}.json", body)
        listed = {role: version for role, version in versions.items() if role != ROOT}
        last_timestamp, last_snapshot = self._last_versions()
        now = self._clock()
        number = next_online_version(last_snapshot, now.timestamp())
        snapshot = sign_role(SNAPSHOT, new_snapshot(number, listed, now), [self._key])
        number = next_online_version(last_timestamp, now.timestamp())
        timestamp = sign_role(TIMESTAMP, new_timestamp(number, snapshot.version, now), [self._key])
        write_atomic(self._metadata / f"{snapshot.version}.{SNAPSHOT}.json", snapshot.body)
        write_atomic(self._metadata / f"{TIMESTAMP}.json", timestamp.body)
        return {**versions, SNAPSHOT: snapshot.version, TIMESTAMP: timestamp.version}

    def _last_versions(self) -> tuple[int, int]:
        path = self._metadata / f"{TIMESTAMP}.json"
        if not path.is_file():
            return 0, 0
        try:
            timestamp = Metadata[Timestamp].from_bytes(read_bounded(path, ROLE_MAX_BYTES)).signed
        except (RepositoryError, DeserializationError) as error:
            raise ReleaseError(f"{path} is broken: {error}", "Publish into a new folder") from error
        return timestamp.version, timestamp.snapshot_meta.version
