"""Whatever happens in a probe, training goes on, unless asked otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ontogeny._messages import has_to_pass
from ontogeny.extraction.isolation import NotYetError

__all__ = ["BeforeTrainingError", "going_on"]

T = TypeVar("T")


class BeforeTrainingError(Exception):
    """Said whatever `on_error` is, before anything is trained."""


def going_on(work: Callable[[], Sequence[T]], failed: Callable[[BaseException], None]) -> list[T]:
    """What the work returns; nothing where it failed. Ctrl-C, signals and what is said before training pass.

    Args:
        work: done once.
        failed: called with the error.
    """
    try:
        return list(work())
    except (BeforeTrainingError, NotYetError):
        raise
    except BaseException as error:
        if has_to_pass(error):
            raise
        failed(error)
        return []
