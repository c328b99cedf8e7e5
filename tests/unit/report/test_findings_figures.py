"""Pictures of depth and scale: what is drawn, and that biased values carry their words into the picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.helpers.brains import NETWORKS, depth_cells, over_depth, over_scales, scale_cells

from ontogeny.findings import depth, scale
from ontogeny.report import write_figures
from ontogeny.report.findings import depth_section as depth_pictures
from ontogeny.report.findings import scale_section as scale_pictures


def spec(figure):
    return json.dumps(drawn_of(figure), allow_nan=False, ensure_ascii=False)


def drawn_of(figure):
    """Without the look of all pictures and the words for who does not see it."""
    return {name: part for name, part in figure.spec.items() if name not in ("config", "description")}


def values(figure, key):
    """All rows with this key that the picture draws."""

    def found(part):
        if isinstance(part, dict):
            if key in part and not isinstance(part[key], dict | list):
                yield part
            for one in part.values():
                yield from found(one)
        elif isinstance(part, list):
            for one in part:
                yield from found(one)

    return list(found(drawn_of(figure)))


def test_depth_draws_each_network_and_each_distance(tmp_path):
    finding = depth(depth_cells(*over_depth("converge", 0)))
    curves, distances = depth_pictures.figures(finding)
    assert all(name in spec(curves) for name in NETWORKS)
    rows = [row for row in values(curves, "network") if row["modality"] == "text"]
    assert len({(row["network"], row["depth"]) for row in rows}) == 7 * 8
    assert rows[0]["value"] == pytest.approx(finding.details["curves"][0]["value"])
    one = finding.headline
    slope = f"slope {one.value:.3g} [{one.low:.3g}, {one.high:.3g}]".replace("-", "−")
    assert slope in spec(distances)
    assert "zero" in spec(curves)
    assert "Dashes: chance (0)." in curves.caption
    assert all(path.stat().st_size > 30_000 for path in write_figures((curves, distances), tmp_path))


def test_scale_draws_networks_contrast_and_regions(tmp_path):
    cells, groups = scale_cells(*over_scales("shift", 0))
    finding = scale(cells, groups=groups)
    networks, regions = scale_pictures.figures(finding)
    assert {row["network"] for row in values(networks, "shift")} == set(NETWORKS)
    assert len(values(regions, "z_low")) == len(groups)
    assert "shift from 28 to 68" in spec(networks)
    assert "z at 28" in spec(regions)
    assert all(path.stat().st_size > 30_000 for path in write_figures((networks, regions), tmp_path))


def test_biased_values_are_drawn_with_the_words_that_chance_is_not_known():
    words = "chance not known, left in"
    drawn = depth_pictures.figures(depth(depth_cells(*over_depth("none", 0), metric="cka_36", chance=None), raw=True))
    cells, groups = scale_cells(*over_scales("none", 0), metric="cka_{}", chance=None)
    drawn += scale_pictures.figures(scale(cells, groups=groups, raw=True))
    assert len(drawn) == 4
    for figure in drawn:
        assert words in spec(figure)
        assert words in figure.caption.replace("Chance", "chance")
    assert "zero" not in spec(drawn[0]).replace('"zero": false', "")
    for figure in depth_pictures.figures(depth(depth_cells(*over_depth("none", 0)))):
        assert words not in spec(figure)


def test_one_subject_and_one_modality_are_drawn_without_intervals(tmp_path):
    text, _ = over_depth("none", 0, subjects=1)
    cells = depth_cells(text, text).where(modality="text")
    (curves,) = depth_pictures.figures(depth(cells))
    assert all(row["low"] is None for row in values(curves, "network"))
    cells, groups = scale_cells(*over_scales("none", 0, subjects=1))
    drawn = scale_pictures.figures(scale(cells, groups=groups))
    assert all(row["low"] is None for row in values(drawn[0], "shift"))
    assert all(path.exists() for path in write_figures((curves, *drawn), tmp_path))


def test_many_regions_without_networks_are_cut_to_what_can_be_read():
    low, high = over_scales("shift", 0)
    cells, _ = scale_cells(low, high)
    networks, _regions = scale_pictures.figures(scale(cells))
    assert len({row["network"] for row in values(networks, "shift")}) == 12
    assert "The 12 networks that shift most either way are drawn." in networks.caption
    text = np.repeat(over_depth("none", 0)[0], 2, axis=1)
    many = depth_cells(text[:, :7], text[:, 7:])
    groups = {name: f"n{i}" for i, name in enumerate(NETWORKS)}
    (curves, _) = depth_pictures.figures(depth(many, groups=groups))
    assert "networks are drawn" not in curves.caption
