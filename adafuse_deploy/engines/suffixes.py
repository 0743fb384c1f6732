"""By which endings files are known; nothing is imported, so that ``--help`` can reach it."""

GRAPHS = (".onnx",)
CHECKPOINTS = (".safetensors", ".pt", ".pth")
ENGINES = (".engine", ".plan")
