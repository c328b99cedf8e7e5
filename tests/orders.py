"""Orders of a series that nothing is watched in: what fetching ahead is asked for."""

from ontogeny.replay.measuring import Job, Order, Unit


def orders(series, steps=None, *, keep=False):
    job = Job(series=series, watched=(), task=None, run="", keep=keep)
    return [Order(job, Unit(step=step, places=())) for step in (series.steps if steps is None else steps)]
