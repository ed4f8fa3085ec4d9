import pytest

from contract.files import sha256_of
from contract.manifest import FileEntry
from fleet_server.errors import NotFoundError, RefusedError, TooLargeError
from fleet_server.store.artifacts import ArtifactStore


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


def upload(store, data, sha256=None, max_bytes=1000):
    with store.receive(sha256 or sha256_of(data), max_bytes) as upload:
        for start in range(0, len(data), 3):
            upload.add(data[start : start + 3])
        return upload.finish()


def names(store):
    return [path.name for path in store.folder.rglob("*") if path.is_file()]


def test_an_upload_becomes_an_artifact_with_its_digest(store):
    assert upload(store, b"weights") == 7
    assert store.read(sha256_of(b"weights"), 100) == b"weights"
    assert store.lacks(FileEntry(sha256_of(b"weights"), 7)) == ""
    assert "8" in store.lacks(FileEntry(sha256_of(b"weights"), 8))


def test_a_wrong_digest_or_too_many_bytes_leave_nothing(store):
    with pytest.raises(RefusedError):
        upload(store, b"weights", "0" * 64)
    with pytest.raises(TooLargeError):
        upload(store, b"weights", max_bytes=5)
    assert names(store) == []


def test_two_uploads_of_the_same_artifact_both_succeed(store):
    digest = sha256_of(b"same")
    with store.receive(digest) as first, store.receive(digest) as second:
        first.add(b"same")
        second.add(b"same")
        assert first.finish() == second.finish() == 4
    assert names(store) == [digest]


def test_what_an_interrupted_upload_left_is_dropped_at_the_next_start(store):
    (store.folder / ".upload-left").write_bytes(b"half")
    assert names(ArtifactStore(store.folder)) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "ABC", "0" * 63, "0" * 64 + "\n"])
def test_only_digests_name_artifacts(store, name):
    with pytest.raises(NotFoundError):
        store.path_of(name)
