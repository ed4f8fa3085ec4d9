"""What the endpoint says of itself and its model, as Triton's clients expect it."""

from typing import Any

import msgspec

from contract.manifest import Manifest, TensorSpec, Variant
from edge_agent.engine.accelerators import split_name
from edge_agent.serving.http_messages import HttpError
from edge_agent.serving.request_times import RequestTimes
from edge_agent.serving.tensor_codec import DATATYPES

EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics")
LABEL = TensorSpec("label", "string", (1,))


def model_metadata(manifest: Manifest, variant: str) -> dict[str, Any]:
    """Model metadata; `parameters` holds the labels, the variant and the task."""
    return {
        "name": manifest.name,
        "versions": [str(manifest.version)],
        "platform": _platform(manifest, variant),
        "inputs": [_tensor(spec) for spec in manifest.inputs],
        "outputs": [_tensor(spec) for spec in _outputs(manifest)],
        "parameters": {"task": manifest.task, "variant": variant, "labels": list(manifest.labels)},
    }


def model_config(manifest: Manifest, variant: str) -> dict[str, Any]:
    """The model configuration extension: the same tensors in the words of Triton's `config.pbtxt`; there is no batching."""
    return {
        "name": manifest.name,
        "platform": _platform(manifest, variant),
        "backend": _variant(manifest, variant).runtime,
        "version_policy": {"specific": {"versions": [manifest.version]}},
        "max_batch_size": 0,
        "input": [_config_tensor(spec) for spec in manifest.inputs],
        "output": [_config_tensor(spec) for spec in _outputs(manifest)],
        "default_model_filename": _variant(manifest, variant).file,
    }


def _platform(manifest: Manifest, variant: str) -> str:
    return f"eyelet_{_variant(manifest, variant).runtime}"


def _variant(manifest: Manifest, name: str) -> Variant:
    return manifest.variants[split_name(name).variant]


def _outputs(manifest: Manifest) -> list[TensorSpec]:
    named = LABEL.name in {spec.name for spec in manifest.outputs}
    return [*manifest.outputs] if named else [*manifest.outputs, LABEL]


def _datatype(spec: TensorSpec) -> str:
    return DATATYPES.get(spec.dtype, spec.dtype.upper())


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": _datatype(spec), "shape": list(spec.shape)}


def _config_tensor(spec: TensorSpec) -> dict[str, Any]:
    datatype = _datatype(spec)
    return {"name": spec.name, "data_type": "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}", "dims": list(spec.shape)}


def repository_index(manifest: Manifest, body: bytes, *, unloaded: bool) -> list[dict[str, str]]:
    """The one model, and whether it is ready; `{"ready": true}` in the body asks for ready ones only.

    Raises:
        HttpError: 400 where the body is no JSON object.
    """
    asked: dict[str, Any] = {}
    if body:
        try:
            asked = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the request is not valid: {error}") from error
    if unloaded and asked.get("ready") is True:
        return []
    state, reason = ("UNAVAILABLE", "unloaded") if unloaded else ("READY", "")
    return [{"name": manifest.name, "version": str(manifest.version), "state": state, "reason": reason}]


def model_statistics(manifest: Manifest, times: RequestTimes) -> dict[str, Any]:
    """The statistics extension: requests of this worker, in nanoseconds. Inferences of an application are not among them."""
    count = times.succeeded
    parts = {
        "success": (count, times.succeeded_ns),
        "fail": (times.failed, times.failed_ns),
        "queue": (count, times.queue_ns),
        "compute_input": (count, times.input_ns),
        "compute_infer": (count, times.infer_ns),
        "compute_output": (count, times.output_ns),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
    model = {
        "name": manifest.name,
        "version": str(manifest.version),
        "last_inference": times.last_inference_ms,
        "inference_count": times.inferences,
        "execution_count": times.inferences,
        "inference_stats": {name: {"count": number, "ns": total} for name, (number, total) in parts.items()},
        "batch_stats": [],
    }
    return {"model_stats": [model]}
