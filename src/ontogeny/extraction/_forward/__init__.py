"""The model's forward pass: how it is called with a batch, with hooks on the layers that are read."""
