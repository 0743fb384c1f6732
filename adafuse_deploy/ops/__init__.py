"""The conditional convolutions, for PyTorch, for ONNX and for ONNX Runtime."""
