"""Accuracy, cost and policies of a network on labelled videos, in whatever runs it.  No PyTorch."""
