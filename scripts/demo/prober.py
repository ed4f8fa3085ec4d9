"""Asks every device's endpoint again and again, so that a gap in the service would be seen."""

import itertools
import json
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Answer(NamedTuple):
    """One answer of an endpoint."""

    label: str
    score: float
    version: int


def read_endpoint(home: Path) -> str | None:
    """URL of a device's endpoint, None while it has none."""
    try:
        return str(json.loads((home / "run" / "endpoint.json").read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None


def ask(url: str, image: bytes, timeout_s: float = 5.0) -> dict[str, object]:
    """Send one PNG and decode the answer."""
    request = urllib.request.Request(f"{url}/predict", data=image, headers={"Content-Type": "image/png"})  # noqa: S310  (loopback)
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        decoded: dict[str, object] = json.load(answer)
    return decoded


class Prober:
    """One thread per device that sends one real image after the other, five times a second."""

    def __init__(self, homes: dict[str, Path], images: list[bytes]) -> None:
        """Nothing is asked before `start`."""
        self.homes = homes
        self.images = images
        self.answered: Counter[str] = Counter()
        self.failures: list[tuple[str, float, str]] = []
        self.versions: dict[str, list[int]] = {device: [] for device in homes}
        self.excused: set[str] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._probe, args=(device,), name=f"probe-{device}", daemon=True) for device in homes]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _probe(self, device: str) -> None:
        for image in itertools.cycle(self.images):
            if self._stop.wait(0.2):
                return
            if device in self.excused:
                continue
            url = read_endpoint(self.homes[device])
            try:
                if url is None:
                    raise FileNotFoundError("no endpoint")
                answer = ask(url, image)
            except (OSError, ValueError) as error:
                if device not in self.excused:
                    self.failures.append((device, time.time(), f"{type(error).__name__}: {error}"))
                continue
            self.answered[device] += 1
            version = int(str(answer.get("model_version", 0)))
            if self.versions[device][-1:] != [version]:
                self.versions[device].append(version)
