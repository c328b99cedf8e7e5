"""AlignmentCallback for the Hugging Face Trainer, under the name that users import."""

from __future__ import annotations

from ontogeny.monitoring.callbacks.transformers import AlignmentCallback

__all__ = ["AlignmentCallback"]
