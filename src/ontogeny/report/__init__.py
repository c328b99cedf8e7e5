"""Report: figures and one offline page from a record.

write.py                write_report(): reads records, draws, writes
run_data.py             a record read once: its curves (`record.curve_groups`), task, refusals, cost
study.py                the runs of one benchmark, the curves that are shown, and the answer (`lag.verdict`)
_page.py                all of it -> one HTML file without a network; page.css, page.js
_first_screen.py        the answer in one sentence, and four numbers
_tables.py              tables, and CSV files that have all of them
_methods.py             a paragraph to paste, what to cite
_html.py                figures and tables as HTML
key_figure.py           the declared curve above its task, both half points on one axis
region_figures.py       every region, and every run, as a forest of factors
curve_figures.py        every region as small multiples, and as maps of layer x step
level_tests.py          each layer against chance, the stimuli's surface and the ceiling
explorer.py             all curves as compact data, from which the page draws what is picked
beside_figures.py       the task alone, effective dimensions
lead_figures.py         one pair's lead test in detail; a map of leads
layer_names.py          layers without the parts of their names that all share
brain_section.py        a benchmark folder's spaces -> pictures of both
brain_figures.py        scores back in the brain over training, and when each region rises
_brain_slices.py        maps of a volume, voxel by voxel
brain_surface.py        the same on a hemisphere's surface (nilearn)
findings/               one section a finding: across_models_section.py, depth_section.py, ...
figures.py              Figure, its look, and the axes that figures share
figure_files.py         figures as PNG, SVG, PDF and CSV
"""

from __future__ import annotations

from ontogeny.report.figure_files import write_figures
from ontogeny.report.figures import (
    Figure,
    Picture,
)
from ontogeny.report.write import (
    ReportFiles,
    find_records,
    write_report,
)

__all__ = ["Figure", "Picture", "ReportFiles", "find_records", "write_figures", "write_report"]
