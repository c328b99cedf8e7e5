"""Everything that can be reached from a model, saved by content and put back in place."""

from ontogeny.extraction.state._entry import CannotRestoreError
from ontogeny.extraction.state._kinds import first_uninitialised, tensor_parts
from ontogeny.extraction.state._random import SavedRandom
from ontogeny.extraction.state._saved_state import SavedState

__all__ = ["CannotRestoreError", "SavedRandom", "SavedState", "first_uninitialised", "tensor_parts"]
