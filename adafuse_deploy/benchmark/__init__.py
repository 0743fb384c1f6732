"""Speed against the dense network of the same backbone, on one machine in one run."""
