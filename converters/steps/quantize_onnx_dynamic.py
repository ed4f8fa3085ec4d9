"""Dynamic int8 quantization of an ONNX network: weights of matrix products and LSTMs, activations while it runs."""

from pathlib import Path

from converters.errors import StepError
from converters.onnx_graph import CONVOLUTIONS, QUANTIZED, clean, load_graph, operators, save_graph, weight_share
from converters.quiet import quiet
from converters.step import Material, Step

_QUANTIZABLE = ("MatMul", "Gemm", "LSTM", "Attention")


def run(_: Material, network: Path, output: Path) -> None:
    """Quantize what gains from it; networks of convolutions are refused."""
    from onnxruntime import quantization

    graph = load_graph(network)
    in_convolutions, in_products = weight_share(graph, CONVOLUTIONS), weight_share(graph, _QUANTIZABLE)
    if in_convolutions > in_products:
        raise StepError("dynamic int8 makes convolutions up to twelve times slower than float32", "Choose onnx-int8")
    if not in_products:
        raise StepError("the network has no matrix product or LSTM with weights: there is nothing to quantize")
    prepared = output.with_name(f"{output.stem}.prepared.onnx")
    try:
        with quiet():
            quantization.quant_pre_process(str(network), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_dynamic(
                str(prepared),
                str(output),
                op_types_to_quantize=list(_QUANTIZABLE),
                weight_type=quantization.QuantType.QInt8,
            )
    finally:
        prepared.unlink(missing_ok=True)
    graph = load_graph(output)
    clean(graph)
    save_graph(graph, output)


def ensure(_: Material, __: Path, output: Path) -> None:
    """The graph is quantized."""
    if not operators(load_graph(output)) & {*QUANTIZED, "DynamicQuantizeLSTM"}:
        raise StepError("the quantizer left every operator in floating point")


STEP = Step(
    name="quantize_onnx_dynamic",
    edges=(("network-float32", "network-int8-dynamic"),),
    run=run,
    ensure=ensure,
    packages=("onnx", "onnxruntime"),
)
