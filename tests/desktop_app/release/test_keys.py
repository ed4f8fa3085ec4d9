import stat

import pytest

from contract.signing import public_key_from_bytes, sign_document, verify_document
from desktop_app.errors import KeyStoreError
from desktop_app.release.key_backup import MAGIC, backup_keys, restore_keys
from desktop_app.release.keys import MOVE_AWAY, ROOT_NAMES, SECOND_FILE, KeyStore, export_public, init_keys, list_keys

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio") / "keys"
    init_keys(folder, PASSPHRASE).model_key("digits")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    import shutil

    return shutil.copytree(made, tmp_path / "keys")


def test_init_makes_three_root_keys_and_says_which_to_move_away(folder):
    names = {info.name: info for info in list_keys(folder)}
    assert set(names) == {*ROOT_NAMES, "targets", "model-digits"}
    assert not names["root-recovery"].private
    assert names["root-studio"].private
    assert {path.name for path in (folder / MOVE_AWAY).iterdir()} == {"recovery-root.pem", SECOND_FILE, "READ-ME-FIRST.txt"}


def test_every_private_key_is_encrypted_and_readable_by_its_owner_alone(folder):
    files = list(folder.rglob("*.pem"))
    assert len(files) == 5
    for path in files:
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_init_refuses_to_overwrite_and_an_empty_passphrase(folder, tmp_path):
    with pytest.raises(KeyStoreError, match="already"):
        init_keys(folder, PASSPHRASE)
    with pytest.raises(KeyStoreError, match="empty"):
        init_keys(tmp_path / "new", "")
    assert not (tmp_path / "new").exists()


def test_a_wrong_passphrase_is_found_at_once(folder):
    with pytest.raises(KeyStoreError, match="passphrase"):
        KeyStore(folder, "wrong")
    with pytest.raises(KeyStoreError, match="no keys") as caught:
        KeyStore(folder / "elsewhere", PASSPHRASE)
    assert "keys init" in caught.value.advice


def test_a_models_key_is_made_once_and_signs(folder):
    store = KeyStore(folder, PASSPHRASE)
    first = store.model_key("kws")
    assert KeyStore(folder, PASSPHRASE).model_key("kws").keyid == first.keyid
    assert store.application_key("kws").keyid != first.keyid
    envelope = sign_document(b"{}", "text/x", first)
    assert verify_document(envelope, "text/x", store.trusted_keys()) == "model-kws"


def test_root_signing_needs_two_keys(folder, tmp_path):
    store = KeyStore(folder, PASSPHRASE)
    assert len({key.keyid for key in store.root_signers()}) == 2
    away = tmp_path / "stick" / SECOND_FILE
    away.parent.mkdir()
    (folder / MOVE_AWAY / SECOND_FILE).rename(away)
    (folder / MOVE_AWAY / "recovery-root.pem").unlink()
    with pytest.raises(KeyStoreError, match="2 of 3") as caught:
        store.root_signers()
    assert "--root-key" in caught.value.advice
    assert {key.keyid for key in store.root_signers([away])} == {store.public_key(name).keyid for name in ("root-studio", "root-second")}
    with pytest.raises(KeyStoreError, match="none of this studio's root keys"):
        store.root_signers([folder / "private" / "targets.pem"])


def test_public_keys_are_exported_for_others(folder, tmp_path):
    written = export_public(folder, tmp_path / "out", ["model-digits"])
    name, key = public_key_from_bytes(written[0].read_bytes())
    assert (name, key.keyid) == ("model-digits", KeyStore(folder, PASSPHRASE).model_key("digits").keyid)
    assert len(export_public(folder, tmp_path / "all")) == 5


def test_a_backup_restores_every_key_but_the_two_to_be_kept_elsewhere(folder, tmp_path):
    store = KeyStore(folder, PASSPHRASE)
    (folder / "repository").mkdir()
    (folder / "repository" / "1.root.json").write_bytes(b"root")
    backup_keys(store, PASSPHRASE, tmp_path / "keys.backup")
    assert b"PRIVATE" not in (tmp_path / "keys.backup").read_bytes()
    restored = tmp_path / "elsewhere" / "keys"
    restore_keys(tmp_path / "keys.backup", PASSPHRASE, restored)
    assert KeyStore(restored, PASSPHRASE).model_key("digits").keyid == store.model_key("digits").keyid
    assert (restored / "repository" / "1.root.json").read_bytes() == b"root"
    assert not (restored / MOVE_AWAY).exists()
    assert [path.name for path in restored.parent.iterdir()] == ["keys"]


def test_restore_never_overwrites_without_force_and_keeps_what_it_replaces(folder, tmp_path):
    backup_keys(KeyStore(folder, PASSPHRASE), PASSPHRASE, tmp_path / "keys.backup")
    before = {path: path.read_bytes() for path in folder.rglob("*.pem")}
    with pytest.raises(KeyStoreError, match="not empty"):
        restore_keys(tmp_path / "keys.backup", PASSPHRASE, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.pem")} == before
    restore_keys(tmp_path / "keys.backup", PASSPHRASE, folder, force=True)
    KeyStore(folder, PASSPHRASE)
    replaced = [path for path in tmp_path.iterdir() if ".replaced-" in path.name]
    assert len(replaced) == 1
    assert (replaced[0] / MOVE_AWAY / SECOND_FILE).is_file()


@pytest.mark.parametrize("harm", ["passphrase", "bit", "short", "foreign", "empty"])
def test_a_broken_backup_leaves_nothing_behind(folder, tmp_path, harm):
    backup = tmp_path / "keys.backup"
    backup_keys(KeyStore(folder, PASSPHRASE), PASSPHRASE, backup)
    data = bytearray(backup.read_bytes())
    data[-20] ^= harm == "bit"
    pieces = {"short": bytes(data[:-9]), "foreign": b"something else", "empty": MAGIC}
    backup.write_bytes(pieces.get(harm, bytes(data)))
    with pytest.raises(KeyStoreError):
        restore_keys(backup, "wrong" if harm == "passphrase" else PASSPHRASE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"keys", "keys.backup"}
