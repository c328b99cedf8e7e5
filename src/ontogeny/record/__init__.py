"""Record: all scores of one run on disk, its events beside them, and one curve out of them.

score.py          Score: one value with all that is needed to read it
event.py          Event: what happened to the run: finished probes, refusals, costs, checkpoints, branches, progress
progress.py       tokens and epochs of the probed steps, where the trainer knows
row.py            either of them as one checked JSON object
record.py         Record: opens, appends, selects, compacts
series.py         Series: one curve, averaged over subjects
subject_curves.py curves of each subject as one array
curve_groups.py   curves laid out for drawing; curve_means.py: their means; pooled_runs.py: the same over runs
arrow.py          scores as a typed table (pyarrow)
_select.py        scores and events by the values of their columns
_query.py         SQL over scores and events (DuckDB); _export.py: pandas, Parquet; _facts.py: what it holds, in words
_storage/         the files: JSONL log, Parquet shards behind it, branches that were left behind, the lock, record.json
task_logs/        what a run logged, or others measured, from whatever it was written into
"""

from __future__ import annotations

from ontogeny.record._storage.lock import (
    is_written,
)
from ontogeny.record.event import (
    Event,
)
from ontogeny.record.record import (
    Record,
)
from ontogeny.record.row import (
    Row,
)
from ontogeny.record.score import (
    Score,
)
from ontogeny.record.series import (
    Series,
)

__all__ = ["Event", "Record", "Row", "Score", "Series", "is_written"]
