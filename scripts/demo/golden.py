"""Compare golden samples: expected ones of the desk, the engine here, and a device's endpoint.

Usage: python -m scripts.demo.golden PACKAGE_FOLDER URL
"""

import json
import sys
from pathlib import Path

import httpx

from contract.manifest import golden_output_key
from contract.package import open_package

SAME = 1e-4
"""The same variant on the same machine must answer the same, whichever program asks."""


def main(folder: str, url: str) -> int:
    """Print the largest difference as JSON."""
    import numpy as np

    from edge_agent.engine.engine import open_engine

    package = open_package(Path(folder), None)
    endpoint = httpx.get(f"{url}/v2/models/{package.manifest.name}", timeout=10).json()
    served = str(endpoint.get("parameters", {}).get("variant", ""))
    variant = served if served in package.manifest.variants else next(iter(package.manifest.variants))
    worst = apart = 0.0
    with np.load(package.path_of(package.manifest.golden), allow_pickle=False) as golden, open_engine(package, variant) as engine:
        for index in range(package.manifest.golden_count):
            frame = golden[f"{index:04d}.input.frame"]
            expected = golden[golden_output_key(index, variant, "scores")]
            here = engine.predict({"frame": frame}).scores
            there = ask(url, package.manifest.name, frame)
            worst = max(worst, float(np.abs(here - expected).max()))
            apart = max(apart, float(np.abs(here - np.asarray(there, dtype=np.float32)).max()))
    tolerance = package.manifest.variants[variant].tolerance
    found = {
        "variant": variant,
        "samples": package.manifest.golden_count,
        "desk_to_device": apart,
        "to_expected": worst,
        "tolerance": tolerance,
    }
    print(json.dumps(found))
    return 0 if worst <= tolerance and apart <= SAME else 1


def ask(url: str, model: str, frame: "object") -> list[float]:
    """One frame over the Open Inference Protocol, as JSON."""
    import numpy as np

    array = np.asarray(frame)
    body = {
        "inputs": [{"name": "frame", "datatype": "UINT8", "shape": list(array.shape), "data": array.ravel().tolist()}],
        "outputs": [{"name": "scores"}],
    }
    answer = httpx.post(f"{url}/v2/models/{model}/infer", json=body, timeout=10)
    answer.raise_for_status()
    data: list[float] = next(output["data"] for output in answer.json()["outputs"] if output["name"] == "scores")
    return data


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
