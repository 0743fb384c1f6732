"""Comparing engines with the network as trained or its graph: decisions, logits, accuracy, time."""
