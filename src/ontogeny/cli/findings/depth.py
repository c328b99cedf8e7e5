"""`ontogeny findings depth | scale`."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Parameter

from ontogeny.cli._vocabulary import Names, Records, Selection
from ontogeny.cli.findings._output import Output, deliver
from ontogeny.cli.findings._source_options import Groups, Publication, Published, Scores, cells_of, groups_of

__all__ = ["depth", "scale"]


def depth(
    paths: Records = (),
    /,
    *,
    published: Published = None,
    which: Selection = Selection(),
    scores: Scores = Scores(),
    groups: Groups = None,
    bins: int = 8,
    output: Output = Output(),
) -> None:
    """Alignment over relative depth, by network; and with language and vision models: do deeper layers converge?

    for example:
      ontogeny findings depth runs/gpt runs/vit --metric cka-rbf-36-debiased-z --groups yeo7.csv --out depth/
      ontogeny findings depth runs/gpt --metric ridge-gcv                  one modality: alignment over depth only
      ontogeny findings depth --published shen2026 --raw --out depth/      the study's table (see `Published.read`)

    Convergence needs a record of text and one of images, of the same subjects and regions. Relative depth is 0 for the
    first layer that was read and 1 for the last; every model is interpolated to the middles of --bins equal parts.

    what each line means:
      profile distance  1 - Pearson r over networks between language and vision at the same depth: do they peak in
                        the same places? The headline. Level and spread do not matter to it.
      corrected         the same, r divided by how well profiles agree between subjects: less noise alone does not
                        lower it.
      level distance    |difference of the means over networks|. Falls where all values approach one level, chance too.
      RMS distance      what one sees in a plot; a mixture of both, so no evidence of like profiles by itself.
      per depth         slope from the first to the last layer, one per subject; interval (t) and p (sign flip) over
                        subjects. With 4 subjects the least p is .125.
      depths shuffled   how rare the slope is among all orders of the depths. A trend is claimed only if the
                        interval leaves out 0 and this p is below .05; of profiles, only if the corrected one has it
                        too. Smooth curves make this p too small.
    Values are taken above chance; where a metric's chance level is not known, as in the study's table, only with --raw.

    Args:
        bins: places on the axis of depth.
    """
    from ontogeny.findings import depth as over_depth
    from ontogeny.findings import published_depth
    from ontogeny.report.findings.depth_section import figures

    cells, source = cells_of(paths, which, published_depth, named=published, scores=scores)
    if published:
        source += ", table yeo7_depth (language and vision not in one unit, see published_depth)"
    found = over_depth(cells, groups=groups_of(groups), bins=bins, raw=scores.raw, source=source)
    deliver(found, figures, output)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """From where to where.

    Args:
        low: scale to start from.
        high: scale to go to.
        family: metric with * for the scale (needed if there are several).
        sensory: networks; Visual Somatomotor where not given.
        associative: networks; Default Frontoparietal Limbic where not given.
    """

    low: float = 28
    high: float = 68
    family: str | None = None
    sensory: Names = ()
    associative: Names = ()


def scale(
    paths: Records = (),
    /,
    *,
    published: Publication = Publication(),
    which: Selection = Selection(),
    scores: Scores = Scores(),
    groups: Groups = None,
    shift: Shift = Shift(),
    output: Output = Output(),
) -> None:
    """As the representational scale grows, does alignment move from sensory to associative areas?

    for example:
      ontogeny findings scale runs/gpt --groups yeo7.csv --low 28 --high 68 --out scale/
      ontogeny findings scale runs/gpt --groups yeo7.csv --low 28 --high 68 --family 'cka-rbf-*-biased-z'
      ontogeny findings scale --published shen2026 --family 'cka_*' --raw --out scale/
      ontogeny findings scale --published shen2026 --modality vision --family 'mutual_knn_*' --low 20 --high 400

    The scale is read from the metric's name: a kernel's width (cka-rbf-36-debiased-z; the study's cka_36) or a
    number of neighbours (mutual-knn-20-inner). Score a benchmark of four regions or more (nsd2022, algonauts2023,
    your own) with the same metric at two or more scales (protocol="shen2026"). The debiased form is taken where
    both are there. Values are taken above chance; where a metric's chance level is not known, as of cka_36 in the
    study's tables, only with --raw.

    what each line means:
      profile        z of every region over all regions and subjects of a scale (the study's normalized_score).
      shift          z at --high minus z at --low, of a region or of a network (mean over its regions).
      associative    mean shift of the areas of --associative networks minus that of --sensory ones, one number a
                     subject,
      minus sensory  with t interval and exact sign flip over subjects. In three forms, all three needed for a claim:
                       z                    the study's
                       ranks                does not change where only the shape of the distribution does
                       corrected for noise  does not change where only the agreement between subjects does
      change         1 - r of the two profiles over regions.
      q              p adjusted for the false discovery rate over networks (in regions.csv: over regions).
    At small widths a region with many voxels has a kernel that is nearly the identity, and biased CKA is high with no
    alignment: that alone moves z from large areas (V1) to small ones as the width grows.
    """
    from ontogeny.findings import published_regions
    from ontogeny.findings import scale as over_scales
    from ontogeny.findings.scale import ASSOCIATIVE, SENSORY
    from ontogeny.report.findings.scale_section import figures

    name, of = published.published, published.modality
    cells, source = cells_of(paths, which, lambda: published_regions(of)[0], named=name, scores=scores)
    network_of = groups_of(groups)
    if name:
        source += f", table regions_{of}"
        network_of = network_of or published_regions(of)[1]
    found = over_scales(
        cells,
        low=shift.low,
        high=shift.high,
        family=shift.family,
        groups=network_of,
        poles=(shift.sensory or SENSORY, shift.associative or ASSOCIATIVE),
        raw=scores.raw,
        source=source,
    )
    deliver(found, figures, output)
