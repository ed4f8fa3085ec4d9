"""Keys for lone packages."""

from pathlib import Path

import pytest

from contract.signing import generate_key, public_key_to_bytes
from edge_agent.trust_store import TrustError, TrustStore


def key_file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pub.json"
    path.write_bytes(public_key_to_bytes(generate_key().public, name))
    return path


def test_a_key_is_added_listed_and_removed(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust")
    assert store.keys() == {}
    name, key = store.add(key_file(tmp_path, "digits"))
    assert {known: each.keyid for known, each in store.keys().items()} == {name: key.keyid} == {"digits": key.keyid}
    store.remove("digits")
    assert store.keys() == {}


def test_another_key_of_the_same_name_is_refused(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust")
    store.add(key_file(tmp_path, "digits"))
    with pytest.raises(TrustError, match="another key is trusted as 'digits'"):
        store.add(key_file(tmp_path, "digits"))


def test_what_is_no_key_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.pub.json").write_text("{}")
    with pytest.raises(TrustError, match="is no public key"):
        TrustStore(tmp_path / "trust").add(tmp_path / "x.pub.json")
    with pytest.raises(TrustError, match="no key is named 'ghost'; trusted are: none"):
        TrustStore(tmp_path / "trust").remove("ghost")


def test_a_name_from_outside_never_becomes_a_path(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust")
    store.add(key_file(tmp_path, "../../etc/passwd"))
    assert [path.parent for path in (tmp_path / "trust").iterdir()] == [tmp_path / "trust"]
    store.remove("../../etc/passwd")
    assert store.keys() == {}
