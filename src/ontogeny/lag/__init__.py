"""Lag: which curve moves first, alignment or performance, and how sure one can be.

pair.py         leads(): one pair of series                   runs.py         leads_over_runs(): many seeds or sizes
maps.py         leads_map(): ROI x layer of one record        placebo.py      placebo(): error rates on one's own series
granger.py      Granger's test as people know it              inputs.py       records and series -> runs
matching.py     two series on common steps                    sources.py      tables and logs -> runs
when.py         rise_time(): half point of one series         words.py        results -> lines for a terminal
shares.py       shares(): a pair in units of its gains, to be drawn

    gates.py        what must hold first; warnings                decompose.py    series = rise + rest
    rise.py         curves fitted over log step                   timing.py       when they are half-way
    trend.py        two timings -> TrendLead                      fluctuation.py  what is left -> FluctuationLead
    surrogates.py   pairs flipped so that nothing leads           replicas.py     pairs like one's own, nothing leads
    pool.py         leads of several runs -> one                  results.py      what comes out
"""

from __future__ import annotations

from ontogeny.lag.granger import granger
from ontogeny.lag.inputs import Run, paired, run_from_record, run_leads
from ontogeny.lag.maps import LeadMap, leads_map
from ontogeny.lag.matching import matched
from ontogeny.lag.pair import leads
from ontogeny.lag.placebo import Placebo, placebo
from ontogeny.lag.results import FluctuationLead, Granger, Leads, PooledLead, RiseTime, TrendLead, Untestable
from ontogeny.lag.runs import RunsLeads, leads_over_runs
from ontogeny.lag.shares import Shares, record_shares, shares
from ontogeny.lag.sources import runs_of_log
from ontogeny.lag.when import rise_time

__all__ = [
    "FluctuationLead",
    "Granger",
    "LeadMap",
    "Leads",
    "Placebo",
    "PooledLead",
    "RiseTime",
    "Run",
    "RunsLeads",
    "Shares",
    "TrendLead",
    "Untestable",
    "granger",
    "leads",
    "leads_map",
    "leads_over_runs",
    "matched",
    "paired",
    "placebo",
    "record_shares",
    "rise_time",
    "run_from_record",
    "run_leads",
    "runs_of_log",
    "shares",
]
