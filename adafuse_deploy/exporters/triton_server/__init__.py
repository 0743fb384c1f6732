"""Model repositories for Triton Inference Server, which is not the language Triton of the GPU
kernels.
"""
