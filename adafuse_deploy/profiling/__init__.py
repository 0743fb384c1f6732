"""Where a graph's milliseconds go: node by node, phase by phase, and what another policy costs."""
