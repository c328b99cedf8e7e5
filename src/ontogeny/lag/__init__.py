"""Lag: which curve moves first, alignment or performance, and how sure one can be.

compare.py             compare(): one function for arrays, series, records and tables
pairwise.py            leads(): one pair of series
across_runs.py         leads_over_runs(): many seeds or sizes; _meta_analysis.py: leads of several runs -> one
roi_layer_map.py       leads_map(): ROI x layer of one record
placebo.py             placebo(): error rates on one's own series
general_lead.py        general_lead(): over seeds, subjects, stimuli drawn anew;
                       drawn_run.py, general_from_records.py, _variance.py
granger.py             Granger's test as people know it
rise_time.py           rise_time(): half point of one series
gain_curves.py         shares(): a pair in units of its gains, to be drawn
runs_from_records.py   records and series -> runs
runs_from_logs.py      tables and logs -> runs
common_steps.py        two series on common steps
preconditions.py       what must hold first; warnings
results.py             what comes out
phases.py              phases(), turning_points(): where curves turn, and which turns first; phase_text.py: in words
answer.py              the answer's parts; levels.py: how high a curve is
verdict.py             the answer in one sentence; verdict_pooled.py: of runs, regions and maps
lead_text.py           results -> lines for a terminal; lead_tables.py: for a notebook
fit/                   _growth_curve.py, timing.py, decompose.py: series = rise + rest; _trend_lead.py, _joint_noise.py
null/                  surrogates.py, _null_replicates.py: pairs in which nothing leads; fluctuation_lead.py
"""

from __future__ import annotations

from ontogeny.lag.across_runs import RunsLeads, leads_over_runs
from ontogeny.lag.common_steps import matched
from ontogeny.lag.compare import compare
from ontogeny.lag.drawn_run import DrawnRun, draw_stimuli
from ontogeny.lag.gain_curves import Shares, record_shares, shares
from ontogeny.lag.general_lead import general_lead
from ontogeny.lag.general_results import GeneralLead
from ontogeny.lag.granger import granger
from ontogeny.lag.granger_results import Granger
from ontogeny.lag.pairwise import leads
from ontogeny.lag.phases import phases, turning_points
from ontogeny.lag.placebo import Placebo, placebo
from ontogeny.lag.results import FluctuationLead, Leads, PooledLead, TrendLead, Untestable
from ontogeny.lag.rise_time import rise_time, rise_times
from ontogeny.lag.roi_layer_map import LeadMap, leads_map
from ontogeny.lag.runs_from_logs import runs_of_log
from ontogeny.lag.runs_from_records import Run, paired, run_from_record, run_leads
from ontogeny.lag.timing_results import Phases, RiseTime, TurningPoint, TurnLead

__all__ = [
    "DrawnRun",
    "FluctuationLead",
    "GeneralLead",
    "Granger",
    "LeadMap",
    "Leads",
    "Phases",
    "Placebo",
    "PooledLead",
    "RiseTime",
    "Run",
    "RunsLeads",
    "Shares",
    "TrendLead",
    "TurnLead",
    "TurningPoint",
    "Untestable",
    "compare",
    "draw_stimuli",
    "general_lead",
    "granger",
    "leads",
    "leads_map",
    "leads_over_runs",
    "matched",
    "paired",
    "phases",
    "placebo",
    "record_shares",
    "rise_time",
    "rise_times",
    "run_from_record",
    "run_leads",
    "runs_of_log",
    "shares",
    "turning_points",
]
