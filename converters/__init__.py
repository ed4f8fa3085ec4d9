"""Quantizes and converts models: torch, scikit-learn, ONNX and TFLite to quantized ONNX and TFLite, measured side by side."""
