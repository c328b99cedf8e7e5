"""Held-out data: reading them without a trace, and the loss of each case or token of a model on them."""
