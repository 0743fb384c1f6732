"""GPU kernels of whole residual blocks: gate, channel lists and convolutions (README.md)."""
