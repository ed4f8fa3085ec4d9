"""A fitted scikit-learn classifier becomes an ONNX graph with one named input per column and `scores` float32 (1, C)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contract.manifest import TensorSpec
from converters.errors import SourceError, StepError
from converters.onnx_graph import clean, rename_inputs, rename_output, save_graph
from converters.preprocessing import SCORES
from converters.quiet import quiet
from converters.sources import SklearnSource, Source
from converters.step import Material, Step
from edge_agent.engine.runtimes import open_session

ONNX_ML_OPSET = 3
SKLEARN_OPSET = 18
PROOF_ROWS = 64
PROOF_TOLERANCE = 1e-3
OFF_SHARE_MAX = 0.02


def run(material: Material, _: Path, output: Path) -> None:
    """Convert without the map of names to probabilities, and drop the output of labels (the manifest has them)."""
    from skl2onnx import to_onnx

    source = _sklearn_source(material.source)
    _check_classes(source)
    with quiet():
        graph = to_onnx(
            source.estimator,
            initial_types=[(spec.name, _tensor_type(spec)) for spec in source.spec.inputs],
            options=_options(source.estimator),
            target_opset={"": SKLEARN_OPSET, "ai.onnx.ml": ONNX_ML_OPSET},
        )
    outputs = [tensor for tensor in graph.graph.output if tensor.name == "probabilities"]
    if len(outputs) != 1:
        raise StepError(f"{type(source.estimator).__name__} gives no probabilities", "Choose a classifier with predict_proba")
    del graph.graph.output[:]
    graph.graph.output.extend(outputs)
    rename_inputs(graph, [spec.name for spec in source.spec.inputs])  # skl2onnx makes identifiers of columns' names
    rename_output(graph, "probabilities", SCORES)
    _remove_unread(graph)
    clean(graph)
    save_graph(graph, output)


def ensure(material: Material, _: Path, output: Path) -> None:
    """The graph answers as the estimator does on the example rows."""
    source = _sklearn_source(material.source)
    frame = _frame(source)
    with quiet():
        expected = np.asarray(source.estimator.predict_proba(frame), dtype=np.float32)
        session = open_session("onnx", output)
        try:
            found = session.run({spec.name: _column(source.example[spec.name][:PROOF_ROWS], spec) for spec in source.spec.inputs})[0]
        finally:
            session.close()
    _check_rows(expected, found, output.name)


def _check_rows(expected: np.ndarray, found: np.ndarray, name: str) -> None:
    """Compare probabilities (N, C); one row in fifty may differ.

    Graphs compute in float32 what scikit-learn computes in float64: a value within rounding of a
    tree's threshold goes down the other branch.
    """
    if expected.shape != found.shape or not np.isfinite(found).all():
        raise StepError(f"{name} gives scores of shape {found.shape}, not all finite, where the source gives {expected.shape}")
    off = np.abs(expected - found).max(axis=1) > PROOF_TOLERANCE
    if off.mean() > OFF_SHARE_MAX:
        raise StepError(f"{name} differs from its source by more than {PROOF_TOLERANCE:.0e} on {int(off.sum())} of {len(off)} rows")


def _sklearn_source(source: Source) -> SklearnSource:
    if not isinstance(source, SklearnSource):
        raise StepError(f"this step takes a scikit-learn estimator, got {source.format}")
    return source


def _check_classes(source: SklearnSource) -> None:
    classes = [str(label) for label in source.estimator.classes_]
    labels = list(source.spec.labels)
    if classes not in (labels, [str(index) for index in range(len(labels))]):
        raise SourceError(
            f"the estimator knows the classes {classes[:10]}, the label set is {labels[:10]}", "Train it on every class of the label set"
        )


def _tensor_type(spec: TensorSpec) -> Any:  # noqa: ANN401  (skl2onnx has no types)
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    kinds = {"float32": FloatTensorType, "int64": Int64TensorType, "string": StringTensorType}
    if spec.dtype not in kinds:
        raise SourceError(f"column {spec.name} is of type {spec.dtype}; a table's columns are {', '.join(kinds)}")
    return kinds[spec.dtype]([None, 1])


def _options(estimator: Any) -> Mapping[int, dict[str, object]]:  # noqa: ANN401
    from sklearn.feature_extraction.text import TfidfVectorizer

    options: dict[int, dict[str, object]] = {id(_final(estimator)): {"zipmap": False}}
    for part in _parts(estimator):
        if isinstance(part, TfidfVectorizer):
            options[id(part)] = {"locale": "C.UTF-8"}  # a minimal system has no en_US.UTF-8
    return options


def _final(estimator: Any) -> Any:  # noqa: ANN401
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def _parts(estimator: Any) -> list[Any]:  # noqa: ANN401
    children = [part for _, part in getattr(estimator, "steps", [])]
    children += [row[1] for row in getattr(estimator, "transformers_", [])]
    return [estimator, *(part for child in children for part in _parts(child))]


def _remove_unread(graph: Any) -> None:  # noqa: ANN401
    """Drop nodes whose results nobody reads since the labels' output went (backwards, so that chains go whole)."""
    inner = graph.graph
    wanted = {tensor.name for tensor in inner.output}
    kept = []
    for node in reversed(inner.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            kept.append(node)
    del inner.node[:]
    inner.node.extend(reversed(kept))
    weights = [tensor for tensor in inner.initializer if tensor.name in wanted]
    del inner.initializer[:]
    inner.initializer.extend(weights)


def _column(values: np.ndarray, spec: TensorSpec) -> np.ndarray:
    array = np.asarray(values, dtype=object if spec.dtype == "string" else spec.dtype)
    return array.reshape(-1, 1)


def _frame(source: SklearnSource) -> Any:  # noqa: ANN401
    import pandas as pd

    return pd.DataFrame({spec.name: _column(source.example[spec.name][:PROOF_ROWS], spec)[:, 0] for spec in source.spec.inputs})


STEP = Step(
    name="sklearn_to_onnx",
    edges=(("sklearn", "onnx-float32"),),
    run=run,
    ensure=ensure,
    packages=("sklearn", "skl2onnx", "onnx", "onnxruntime", "pandas"),
)
