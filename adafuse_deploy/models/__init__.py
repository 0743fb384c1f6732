"""PyTorch networks: backbones with gates, consensus, checkpoints."""
