"""Before a model is read on all stimuli, it is read on a few, to find out how."""
