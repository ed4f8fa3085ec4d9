"""Static int8 quantization of an ONNX network (QDQ): uint8 activations, int8 weights per channel, minimum and maximum.

uint8 activations because int8 ones are the slow case on x86. Only networks whose attention would be
blown up by masks keep their other operators in floating point.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration import with_extremes
from converters.errors import StepError
from converters.onnx_graph import (
    COMPUTING,
    LEAST_OPSET,
    QUANTIZED,
    clean,
    load_graph,
    name_nodes,
    operators,
    opset_of,
    outside_of_quantization,
    save_graph,
)
from converters.preprocessing import network_inputs
from converters.proof import file_inputs
from converters.quiet import quiet
from converters.step import Material, Step

_RECURRENT = ("LSTM", "GRU", "RNN")
_TRANSFORMER = ("LayerNormalization", "Attention", "MultiHeadAttention")


def run(material: Material, network: Path, output: Path) -> None:
    """Prepare (fold and infer shapes), calibrate, quantize, and drop the domains that the quantizer adds."""
    from onnxruntime import quantization

    graph = load_graph(network)
    _check_fits(graph)
    samples = with_extremes(material.calibration, material.source.spec.inputs)
    prepared = output.with_name(f"{output.stem}.prepared.onnx")
    try:
        with quiet():
            quantization.quant_pre_process(str(network), str(prepared), skip_symbolic_shape=True)
            graph = load_graph(prepared)
            name_nodes(graph, "node")
            quantization.quantize_static(
                graph,
                str(output),
                _reader(network_inputs(material, samples, file_inputs("onnx", prepared))),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "ConvTranspose", "MatMul", "Gemm"] if operators(graph) & set(_TRANSFORMER) else None,
                per_channel=opset_of(network) >= LEAST_OPSET,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=outside_of_quantization(graph),
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
    finally:
        prepared.unlink(missing_ok=True)
    graph = load_graph(output)
    clean(graph)
    save_graph(graph, output)


def ensure(_: Material, __: Path, output: Path) -> None:
    """The graph is quantized."""
    if not operators(load_graph(output)) & set(QUANTIZED):
        raise StepError("the quantizer left every operator in floating point")


def _check_fits(graph: Any) -> None:  # noqa: ANN401
    kinds = operators(graph)
    if not kinds & set(COMPUTING):
        raise StepError("the network has no convolution or matrix product: there is nothing to quantize")
    if kinds & set(_RECURRENT):
        raise StepError("static quantization does not cover recurrent layers", "Choose onnx-int8-dynamic")


def _reader(feeds: Iterator[dict[str, np.ndarray]]) -> Any:  # noqa: ANN401
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(feeds, None)

    return Reader()


STEP = Step(
    name="quantize_onnx_static",
    edges=(("network-float32", "network-int8"),),
    run=run,
    ensure=ensure,
    packages=("onnx", "onnxruntime"),
    needs_calibration=True,
)
