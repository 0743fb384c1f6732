"""From PyTorch networks to portable ONNX graphs."""
