"""From the portable graph to the fused one that our CPU kernels run."""
