"""Callbacks, under the name that users import: `ontogeny.callbacks.lightning`, `ontogeny.callbacks.transformers`."""
