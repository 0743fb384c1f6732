"""ONNX graphs: reading them, and rewriting them."""
