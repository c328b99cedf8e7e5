"""Reading a model: its layers become stimuli x features, and nothing that can be reached from it is changed."""
