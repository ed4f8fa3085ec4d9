"""A custom runtime for MLServer, as its documentation shows it: the Open Inference Protocol in JSON."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.compared_servers.one_thread import open_from_environment


class OneThreadRuntime(MLModel):
    """One model."""

    async def load(self) -> bool:
        """Open the model."""
        self._model = open_from_environment()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Scores of the one input."""
        scores = self._model.score(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])
