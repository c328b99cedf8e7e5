"""`ontogeny findings QUESTION`: the study's other questions, asked of records or of published tables."""

from __future__ import annotations

from cyclopts import App

from ontogeny.cli.findings.depth import depth, scale
from ontogeny.cli.findings.models import across, modality
from ontogeny.cli.findings.regions import hierarchy, regions, when

__all__ = ["app"]

app = App(
    name="findings",
    help="""\
The study's other questions, asked of records (or of tables): each answer states its estimate, its interval and what
else would explain it.

for example:
  ontogeny findings across --published shen2026                              do better models align better?
  ontogeny findings modality runs/gpt runs/vit --pair-benchmarks             does language align more than vision?
  ontogeny findings regions runs/a --metric ridge-gcv                        which regions does a model resemble most?
  ontogeny findings hierarchy runs/a --metric ridge-gcv --order V1,V2,V4,IT  do higher regions resemble deeper layers?
  ontogeny findings depth runs/gpt runs/vit --metric ridge-gcv               do deep layers of both modalities converge?
  ontogeny findings scale runs/gpt --groups yeo7.csv --low 28 --high 68      where does alignment move with the scale?
  ontogeny findings when runs/a --metric ridge-gcv --order V1,V2,V4,IT       which region comes first in training?

--metric, --benchmark, --pooling, --layer, --subject, --roi and --step choose scores. Chance is taken off where it is
known; where it is not, a question is refused unless --raw is said. --out FOLDER writes tables and pictures.
""",
)
for _question in (across, modality, regions, hierarchy, depth, scale, when):
    app.command(_question)
