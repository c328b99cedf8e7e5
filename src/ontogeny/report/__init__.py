"""Report: pictures and one offline page from a record.

write.py                write_report(): reads records, draws, writes
run_data.py             a record read once: its curves (`record.curve_groups`), task, refusals, cost
_page.py                all of it -> one HTML file without a network
_record_text.py         curves -> sentences and tables
_alignment_section.py   curves -> pictures (Altair)
lead_section.py         leads of a record's curves, and of several records
lead_figures.py         leads -> pictures
brain_section.py        a benchmark folder's spaces -> pictures of both
brain_figures.py        scores back in the brain over training, and when each region rises
_brain_slices.py        maps of a volume, voxel by voxel
brain_surface.py        the same on a hemisphere's surface (nilearn)
findings/               one section a finding: across_models_section.py, depth_section.py, ...
figures.py              Figure, and the axes that pictures share
"""

from __future__ import annotations

from ontogeny.report.figures import (
    Figure,
    Picture,
)
from ontogeny.report.write import (
    ReportFiles,
    find_records,
    write_pngs,
    write_report,
)

__all__ = ["Figure", "Picture", "ReportFiles", "find_records", "write_pngs", "write_report"]
