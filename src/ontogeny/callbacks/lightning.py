"""AlignmentCallback for Lightning, under the name that users import."""

from __future__ import annotations

from ontogeny.monitoring.callbacks.lightning import AlignmentCallback

__all__ = ["AlignmentCallback"]
