"""Files that are made, checked and only then written: graphs, and engines of TensorRT."""
