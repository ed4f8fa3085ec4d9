"""LitServe as its introduction shows it: one worker, JSON. Arguments: PORT."""

import sys

import litserve
import numpy as np

from benchmarks.compared_servers.one_thread import open_from_environment


class Predictor(litserve.LitAPI):
    """Decode, predict, encode."""

    def setup(self, device: str) -> None:  # noqa: ARG002  (LitServe's signature)
        """Open the model in the worker."""
        self.model = open_from_environment()

    def decode_request(self, request: dict[str, list[float]]) -> list[float]:
        """The numbers of the request."""
        return request["data"]

    def predict(self, data: list[float]) -> np.ndarray:
        """Scores."""
        return self.model.score_flat(data)

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        """Scores as a list."""
        return {"scores": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Predictor(), accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning", access_log=False
    )
