"""A site without a network: the operator carries a bundle on a stick, and devices judge it as they would judge a server."""

import json
import shutil
from pathlib import Path

import pytest

from contract.bundle import opened_bundle
from desktop_app.release.keys import KeyStore
from tests.simulators.packages import make_acceptance, make_package
from tests.stories.devices import endpoint_url
from tests.stories.fleet import Fleet
from tests.stories.programs import PASSPHRASE, Programs, Ran, assert_refused, wait_for

pytestmark = pytest.mark.story

MODEL = "colours"
VARIANT = "onnx-float32.onnx"


class Site:
    """A device that was enrolled, and a server that it can no longer reach; bundles of versions 1 to 3 from it."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs
        programs.studio("keys", "init")
        self.key = KeyStore(programs.keys, PASSPHRASE).model_key(MODEL)
        self.fleet = Fleet(programs)
        self.fleet.start_server()
        self.bundles: dict[int, Path] = {}
        for version, kind in ((1, "good"), (2, "good"), (3, "bad"), (4, "good")):
            package = make_package(programs.folder / f"package-{version}", key=self.key, name=MODEL, version=version, kind=kind).folder
            if version == 1:
                programs.studio("new", programs.project, "--task", "image-classification")
                make_acceptance(programs.project / "acceptance" / MODEL, model=MODEL)
                programs.studio("publish", package, *self.fleet.address)
                self.home = programs.folder / "home"
                programs.succeed("eyelet-agent", "enroll", self.fleet.make_claim("pole-7"))
            else:
                programs.studio("publish", package, *self.fleet.address)
            self.bundles[version] = programs.folder / f"{MODEL}-{version}.eyelet-bundle"
            programs.studio("bundle", package, "--out", self.bundles[version], *self.fleet.address)
        programs.end("server")

    def install(self, bundle: Path, home: Path | None = None) -> Ran:
        return self.programs.run("eyelet-agent", "install", bundle, "--json", "--home", home or self.home)

    def journal(self) -> str:
        return (self.home / "state" / "journal.jsonl").read_text()


@pytest.fixture(scope="module")
def site(programs: Programs) -> Site:
    return Site(programs)


def test_what_is_brought_on_a_stick(programs: Programs, site: Site, tmp_path: Path) -> None:
    """One story, since each stick finds what the one before left."""
    tampered = tmp_path / f"{MODEL}-2.eyelet-bundle"
    flip_a_byte(site, 2, tampered)
    assert_refused(site.install(tampered), "not_trusted", "the bundle is refused")

    ran = site.install(site.bundles[2])
    assert ran.code == 0, ran.err
    assert (ran.json["state"], ran.json["target"]["version"]) == ("done", 2)

    assert_refused(site.install(site.bundles[1]), "not_trusted", "timestamp version")  # older than what this device has seen
    assert_refused(site.install(site.bundles[3]), "acceptance_below_minimum")  # its acceptance set was on the stick, too

    usb = tmp_path / "usb"
    usb.mkdir()
    (site.home / "config.json").write_text(json.dumps({"usb_folder": str(usb), "http_port": 0}))
    programs.start("agent", "eyelet-agent", "run", "--home", site.home)
    wait_for("the endpoint", lambda: endpoint_url(site.home), explain=lambda: programs.log("agent"))
    shutil.copy(site.bundles[4], usb / "run me; rm -rf.eyelet-bundle")  # no name of ours: left alone
    shutil.copy(site.bundles[4], usb / site.bundles[4].name)
    wait_for("version 4", lambda: current_version(site.home) == 4, explain=lambda: programs.log("agent"))
    assert "is taken" in programs.log("agent")
    programs.end("agent")

    programs.start("agent", "eyelet-agent", "run", "--home", site.home)
    wait_for("the endpoint", lambda: endpoint_url(site.home), explain=lambda: programs.log("agent"))
    assert current_version(site.home) == 4
    programs.end("agent")


def test_a_device_without_any_server(programs: Programs, site: Site, tmp_path: Path) -> None:
    """The studio plays the online roles; the device pins the studio's root by its digest."""
    made = programs.studio("bundle", programs.folder / "package-2", "--out", tmp_path / "own.eyelet-bundle")
    own, home = tmp_path / "own.eyelet-bundle", tmp_path / "lonely"
    assert_refused(site.install(own, home), "nobody vouches for bundles here")
    assert_refused(programs.run("eyelet-agent", "trust", "root", own, "--sha256", "0" * 64, "--home", home), "SHA-256")
    programs.succeed("eyelet-agent", "trust", "root", own, "--sha256", made["root_sha256"], "--home", home)
    assert site.install(own, home).json["state"] == "done"
    assert_refused(site.install(site.bundles[4], home), "not_trusted", "not to be trusted")  # of another root
    assert_refused(site.install(own), "not_trusted", "not to be trusted")  # and the fleet's device takes none of the studio's own


def flip_a_byte(site: Site, version: int, target: Path) -> None:
    body = bytearray(site.bundles[version].read_bytes())
    model = (site.programs.folder / f"package-{version}" / VARIANT).read_bytes()
    body[body.index(model) + len(model) // 2] ^= 1
    target.write_bytes(body)
    with opened_bundle(target) as bundle:
        assert bundle.index.version == version


def current_version(home: Path) -> int:
    pointer = home / "slots" / "main" / "last_known_good.json"
    return int(json.loads(pointer.read_text())["model"]["version"]) if pointer.exists() else 0
