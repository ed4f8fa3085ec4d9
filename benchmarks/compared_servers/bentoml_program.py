"""BentoML as its documentation shows it: a service class, arrays in and out, JSON on the wire."""

import bentoml
import numpy as np

from benchmarks.compared_servers.one_thread import open_from_environment


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Predictor:
    """One model."""

    def __init__(self) -> None:
        self._model = open_from_environment()

    @bentoml.api
    def predict(self, data: np.ndarray) -> np.ndarray:
        """Scores of a flat array."""
        return self._model.score_flat(data)
