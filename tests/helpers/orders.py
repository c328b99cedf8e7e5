"""Orders of a series that nothing is watched in: what fetching ahead is asked for."""

from ontogeny.replay._worker import SeriesJob, WorkItem


def orders(series, steps=None, *, keep=False):
    job = SeriesJob(series=series, watched=(), task=None, run="", keep=keep)
    return [(job, WorkItem(step=step, places=())) for step in (series.steps if steps is None else steps)]
