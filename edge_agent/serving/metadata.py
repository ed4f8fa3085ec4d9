"""What the endpoint says of itself and its model."""

from typing import Any

from contract.manifest import Manifest, TensorSpec
from edge_agent.serving.tensor_codec import DATATYPES

EXTENSIONS = ("binary_tensor_data", "model_repository", "statistics")
LABEL_METADATA = {"name": "label", "datatype": "BYTES", "shape": [1]}


def model_metadata(manifest: Manifest, variant: str) -> dict[str, Any]:
    """Model metadata; `parameters` holds the labels, the variant and the task."""
    outputs = [_tensor(spec) for spec in manifest.outputs]
    if "label" not in {spec.name for spec in manifest.outputs}:
        outputs.append(LABEL_METADATA)
    return {
        "name": manifest.name,
        "versions": [str(manifest.version)],
        "platform": f"eyelet_{manifest.variants[variant].runtime}",
        "inputs": [_tensor(spec) for spec in manifest.inputs],
        "outputs": outputs,
        "parameters": {"task": manifest.task, "variant": variant, "labels": list(manifest.labels)},
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": DATATYPES.get(spec.dtype, spec.dtype.upper()), "shape": list(spec.shape)}


def model_statistics(manifest: Manifest, completed: int) -> dict[str, Any]:
    """The part of the statistics extension that is counted: inferences since the start."""
    return {
        "model_stats": [
            {"name": manifest.name, "version": str(manifest.version), "inference_count": completed, "execution_count": completed}
        ]
    }
