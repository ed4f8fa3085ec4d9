"""A device's endpoint as a program on that device asks it."""

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import urllib3


def endpoint_url(home: Path) -> str | None:
    """Where the agent in `home` answers, None while it does not say so."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((home / "run" / "endpoint.json").read_text())["url"])
    return None


def ask_image(url: str, body: bytes) -> dict[str, Any]:
    """The answer to a raw PNG.

    Raises:
        urllib3.exceptions.HTTPError, ValueError: there is none.
    """
    headers = {"Content-Type": "image/png"}
    response = urllib3.request("POST", f"{url}/predict", body=body, headers=headers, timeout=10.0, retries=False)
    if response.status != 200:
        raise ValueError(f"{response.status}: {response.data[:300]!r}")
    answer: dict[str, Any] = json.loads(response.data)
    return answer


def ask_frame(url: str, model: str, frame: np.ndarray) -> np.ndarray:
    """The scores for a frame, by the Open Inference Protocol in JSON."""
    tensor = {"name": "frame", "datatype": "UINT8", "shape": list(frame.shape), "data": frame.ravel().tolist()}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "scores"}]})
    headers = {"Content-Type": "application/json"}
    response = urllib3.request("POST", f"{url}/v2/models/{model}/infer", body=body, headers=headers, timeout=10.0, retries=False)
    assert response.status == 200, response.data
    outputs = {output["name"]: output["data"] for output in json.loads(response.data)["outputs"]}
    return np.array(outputs["scores"], np.float32)


class Asker:
    """Asks a device for as long as the block runs; `failures` are answers that did not come, `versions` those that did."""

    def __init__(self, home: Path, body: bytes, every_s: float = 0.03) -> None:
        self.home, self.body, self.every_s = home, body, every_s
        self.versions: list[int] = []
        self.failures: list[tuple[float, str]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name=f"ask-{home.name}", daemon=True)

    def __enter__(self) -> "Asker":  # noqa: PYI034
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(15)

    def _ask_on(self) -> None:
        while not self._ended.wait(self.every_s):
            self._ask()

    def _ask(self) -> None:
        try:
            self.versions.append(int(ask_image(endpoint_url(self.home) or "", self.body)["model_version"]))
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            self.failures.append((time.time(), f"{type(error).__name__}: {error}"))
