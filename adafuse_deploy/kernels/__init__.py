"""GPU kernels of the conditional convolutions, written once in Triton.

PyTorch compiles them when they are first called (:mod:`.launch`); ``python -m
adafuse_deploy.kernels.compile`` compiles them ahead of time for the TensorRT plugin and any other
program that launches through the CUDA driver.
"""
