"""Post-training INT8: standard Q/DQ graphs that every runtime can read."""
