"""Callbacks: adapters that hold a Monitor and have no science in them.

    lightning.py      AlignmentCallback for `lightning.Trainer`
    transformers.py   AlignmentCallback for `transformers.Trainer`

A plain loop needs none: `monitor = ontogeny.watch(...)`, then `monitor(model, step)`.
"""
