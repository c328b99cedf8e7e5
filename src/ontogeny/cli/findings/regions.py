"""`ontogeny findings regions | hierarchy | when`."""

from __future__ import annotations

from functools import partial
from typing import Literal

from ontogeny.cli._vocabulary import Records, Seed, Selection
from ontogeny.cli.findings._output import Output, deliver
from ontogeny.cli.findings._source_options import (
    Groups,
    Order,
    Publication,
    Raw,
    Scores,
    cells_of,
    groups_of,
    order_of,
)
from ontogeny.errors import ConfigError

__all__ = ["hierarchy", "regions", "when"]


def regions(
    paths: Records = (),
    /,
    *,
    published: Publication = Publication(),
    which: Selection = Selection(),
    scores: Scores = Scores(),
    groups: Groups = None,
    networks: bool = False,
    seed: Seed = 0,
    output: Output = Output(),
) -> None:
    """Which regions does a model resemble most, how sure is their order, and do subjects agree on it?

    for example:
      ontogeny findings regions runs/a --metric ridge-gcv                       best layer of each region, last step
      ontogeny findings regions runs/a --metric ridge-gcv --layer blocks.11     one layer, named beforehand
      ontogeny findings regions runs/a --groups yeo7.csv --out regions          networks; tables and a picture
      ontogeny findings regions --published shen2026 --modality vision --metric mutual_knn_20

    what the answer means:
      alignment   above chance, mean over subjects. The layer of a subject is the one that is best in the other
                  subjects, so it was not chosen on the subject's own noise. --raw where a metric has no chance
                  level: read such an order with suspicion, it may be one of signal, size or dimension.
      [low, high] 95 % t interval over subjects. With 4 subjects a sign-flip p cannot be below .125.
      rank        a region is below those that beat it in a paired t test over subjects, Bonferroni over the others. Few
                  subjects and many regions leave nearly all ranks open: group regions into networks first.
      W           Kendall's coefficient of concordance: 1 where all subjects have one order, 1 / subjects by chance.
    --groups is a CSV with the columns roi,network; a network's alignment is the mean over its regions.

    Args:
        networks: with --published: its Yeo-7 networks.
    """
    from ontogeny.findings import grouped, published_regions
    from ontogeny.findings import regions as resembled
    from ontogeny.report.findings.regions_section import figures

    if networks and not published.published:
        raise ConfigError("--networks are those of a published table; give --groups with a record")
    name, of = published.published, published.modality
    cells, _ = cells_of(paths, which, lambda: published_regions(of)[0], named=name, scores=scores)
    network_of = groups_of(groups)
    asked = network_of is not None or networks
    if network_of is None and name:
        network_of = published_regions(of)[1]
    chosen = grouped(cells, network_of) if asked and network_of else cells
    deliver(resembled(chosen, raw=scores.raw, seed=seed), partial(figures, groups=network_of), output)


def hierarchy(
    paths: Records = (),
    /,
    *,
    which: Selection = Selection(),
    scores: Scores = Scores(),
    order: Order = "ventral",
    best: Literal["centre", "others"] = "centre",
    seed: Seed = 0,
    output: Output = Output(),
) -> None:
    """Do regions that are higher in a cortical hierarchy resemble deeper layers?

    for example:
      ontogeny findings hierarchy runs/a --metric ridge-gcv --order V1,V2,V3,V4,LO,IT
      ontogeny findings hierarchy runs/a --metric ridge-gcv               order "ventral", of the regions that are there
      ontogeny findings hierarchy runs/a --step 0 --metric ridge-gcv         the same of the untrained model, to compare

    what the answer means:
      hierarchy score  Spearman's rho of a region's place with the depth that it resembles, one per subject, mean and
                       95 % t interval over subjects. The interval is about these regions.
      p                over all ways to give the depths to places: with 4 regions it cannot be below .083.
      depth            centre of mass over layers of alignment above chance (--best centre): noise does not pull it
                       to the middle. --best others: the layer that is best in the other subjects, the choice with
                       --raw.
    An order is shown only where both the interval and p say so. --order: a name (ventral, networks) or regions by
    comma, lowest first, LO=PIT for two that share a place.

    Args:
        best: which depth a region resembles.
    """
    from ontogeny.findings import hierarchy as along
    from ontogeny.report.findings.hierarchy_section import figures

    cells, _ = cells_of(paths, which, scores=scores)
    deliver(along(cells, order_of(order), best=best, raw=scores.raw, seed=seed), figures, output)


def when(
    paths: Records = (),
    /,
    *,
    which: Selection = Selection(),
    raw: Raw = False,
    order: Order | None = None,
    seed: Seed = 0,
    output: Output = Output(),
) -> None:
    """Which part of the brain does a model resemble first while it trains: region by region, layer by layer?

    for example:
      ontogeny findings when runs/a --metric ridge-gcv --order V1,V2,V4,IT  half points along a hierarchy and over depth
      ontogeny findings when runs/a --metric ridge-gcv --out when            the table of all half points, and a picture

    what the answer means:
      half point   the step at which a curve first reaches half of its own gain, with its 95 % interval. Refused,
                   with the reason, where there are fewer than 12 steps, no rise, or no plateau before and after it.
      first        the region (or layer) with the earliest half point, how often it is first when all are drawn
                   within their errors, and which others cannot be told apart from it.
      rho          Spearman's rank correlation of the true half points with the place in the hierarchy, or with
                   depth; the interval holds the half points' own errors. p: half points given to other places.
    An order is shown only where both the interval and p say so. One run is one sample: other seeds may have other
    orders.
    """
    from ontogeny.findings import when as first
    from ontogeny.report.findings.rise_order_section import figures

    cells, _ = cells_of(paths, which)
    deliver(first(cells, order and order_of(order), raw=raw, seed=seed), figures, output)
