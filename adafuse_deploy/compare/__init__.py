"""Whether two forms of a network answer the same: decisions, their margins and ties, logits."""
