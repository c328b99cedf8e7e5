"""Reading a model: its layers become stimuli x features, and nothing that can be reached from it is changed.

probe.py               Probe: the model reads the stimulus set, no trace is left
features.py            Features: what one probe read, layer by layer
layers.py              which layers are read, and under which stable names; wrappers.py: what wrappers add to these
pooling.py             one layer's output for a batch -> one vector a stimulus
model_inputs.py        stimuli -> batches that a model takes; _tokens.py (texts that begin alike), _pil_images.py
feature_cache.py       features on disk by the hash of the weights
weights.py             hash of the weights that are read, and which of an optimizer's two sets they are
surprisal.py           surprisal of texts under a causal language model
isolation.py           in eval mode, without gradients, from fixed seeds; training sees nothing of it
preserved.py           at the end all is as before: state/ saves and puts back; _interrupts.py: Ctrl-C waits
random_state.py        random states of Python, numpy and torch: kept, seeded, put back
process_group.py       the processes of one distributed run; fsdp1.py: weights in flat shards
forward_signature.py   what a forward pass takes, looked for through wrappers
_forward/              how the model is called with a batch, with hooks on its layers
_rehearsal/            before all stimuli a few, to find out how the model is read
"""

from __future__ import annotations

from ontogeny.extraction.features import (
    Features,
)
from ontogeny.extraction.probe import (
    Probe,
)

__all__ = ["Features", "Probe"]
