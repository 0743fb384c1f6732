"""Comparing engines with the network as trained: decisions, logits, accuracy and latency."""
