"""Names of cortical areas and networks, orders of areas, and tables that say which network an area is in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny._csv_files import csv_rows
from ontogeny.errors import DataError, nearest
from ontogeny.findings.data.cells import Cells

__all__ = ["HCP_MMP1", "ORDERS", "YEO_7", "grouped", "places", "read_groups"]

_AREAS = """
    V1 MST V6 V2 V3 V4 V8 4 3b FEF PEF 55b V3A RSC POS2 V7 IPS1 FFC V3B LO1 LO2 PIT MT A1 PSL SFL PCV STV 7Pm 7m
    POS1 23d v23ab d23ab 31pv 5m 5mv 23c 5L 24dd 24dv 7AL SCEF 6ma 7Am 7PL 7PC LIPv VIP MIP 1 2 3a 6d 6mp 6v p24pr
    33pr a24pr p32pr a24 d32 8BM p32 10r 47m 8Av 8Ad 9m 8BL 9p 10d 8C 44 45 47l a47r 6r IFJa IFJp IFSp IFSa p9-46v
    46 a9-46v 9-46d 9a 10v a10p 10pp 11l 13l OFC 47s LIPd 6a i6-8 s6-8 43 OP4 OP1 OP2-3 52 RI PFcm PoI2 TA2 FOP4 MI
    Pir AVI AAIC FOP1 FOP3 FOP2 PFt AIP EC PreS H ProS PeEc STGa PBelt A5 PHA1 PHA3 STSda STSdp STSvp TGd TE1a TE1p
    TE2a TF TE2p PHT PH TPOJ1 TPOJ2 TPOJ3 DVT PGp IP2 IP1 IP0 PFop PF PFm PGi PGs V6A VMV1 VMV3 PHA2 V4t FST V3CD
    LO3 VMV2 31pd 31a VVC 25 s32 pOFC PoI1 Ig FOP5 p10p p47r TGv MBelt LBelt A4 STSva TE1m PI a32pr p24
"""
HCP_MMP1: tuple[str, ...] = tuple(_AREAS.split())
"""The 180 areas of one hemisphere in the order of their numbers (Glasser et al. 2016, Nature 536:171)."""

YEO_7 = (
    "Visual",
    "Somatomotor",
    "Dorsal Attention",
    "Ventral Attention",
    "Limbic",
    "Frontoparietal",
    "Default",
)
"""The seven networks of Yeo et al. 2011 (J Neurophysiol 106:1125), in the order of their numbers."""

ORDERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "ventral": (("V1",), ("V2",), ("V3",), ("V4", "hV4"), ("LO", "LO1", "LO2", "PIT"), ("IT", "FFC", "FFA")),
    "networks": (
        ("Visual", "Somatomotor"),
        ("Dorsal Attention",),
        ("Ventral Attention",),
        ("Limbic",),
        ("Frontoparietal",),
        ("Default",),
    ),
}
"""Named orders, lowest first; what stands together shares a place.

"ventral": the ventral visual stream (Felleman & Van Essen 1991, Cereb Cortex 1:1); human areas beyond V4 are placed by
convention. "networks": the principal gradient of Margulies et al. 2016 (PNAS 113:12574), by the networks' means.
"""


def places(order: str | Sequence[str], rois: Sequence[str]) -> dict[str, float]:
    """ROI -> place in the hierarchy, lowest first, of the ROIs that have one; equal places are shared.

    Args:
        order: a name of `ORDERS`, or ROIs from lowest to highest, "LO=PIT" for two that share a place.
        rois: what there is.

    Raises:
        DataError: no such order; a ROI of a given order that is not there, or twice; fewer than three places.
    """
    if isinstance(order, str):
        if order not in ORDERS:
            raise DataError(f"there is no order {order!r}. {nearest(order, ORDERS)} Or list the ROIs, lowest first")
        steps = ORDERS[order]
    else:
        steps = tuple(tuple(step.split("=")) for step in order)
        named = [roi for step in steps for roi in step]
        for roi in named:
            if roi not in rois:
                raise DataError(f"the order names ROI {roi!r}, which has no scores. {nearest(roi, rois)}")
            if named.count(roi) > 1:
                raise DataError(f"the order names ROI {roi!r} twice; each has one place")
    found = {roi: float(place) for place, step in enumerate(steps) for roi in step if roi in rois}
    if len(set(found.values())) < 3:
        raise DataError(f"an order needs ROIs at three places or more; of {order!r} there are {list(found)}")
    return found


def grouped(cells: Cells, groups: Mapping[str, str]) -> Cells:
    """Cells of networks: the mean over the ROIs of each, every ROI weighing the same.

    Args:
        cells: of ROIs.
        groups: ROI -> network, e.g. `dict(zip(table["tgt_feature"], table["yeo7"]))`.

    Raises:
        DataError: a ROI has no network; or a network lacks a ROI in some subjects, layers, ...
    """
    lost = [roi for roi in cells.names("roi") if roi not in groups]
    if lost:
        raise DataError(
            f"{len(lost)} ROIs have no group, e.g. {lost[:5]}; add them, or leave them out with where(roi=[...])"
        )
    same = ("model", "modality", "step", "benchmark", "subject", "layer", "pooling", "metric")
    network = np.asarray([groups[roi] for roi in cells.roi.tolist()])
    keys: dict[tuple[Any, ...], list[int]] = {}
    for i, key in enumerate(zip(*(getattr(cells, name).tolist() for name in same), network.tolist(), strict=True)):
        keys.setdefault(key, []).append(i)
    for name in dict.fromkeys(network.tolist()):
        sizes = {len(rows) for key, rows in keys.items() if key[-1] == name}
        if len(sizes) > 1:
            raise DataError(
                f"group {name!r} is made of {min(sizes)} to {max(sizes)} ROIs; its means do not compare. Choose ROIs "
                "that all subjects, layers and metrics have"
            )
    first = np.asarray([rows[0] for rows in keys.values()])
    columns: dict[str, Any] = {name: getattr(cells, name)[first] for name in (*same, "depth")}
    columns["roi"] = [key[-1] for key in keys]
    columns |= {
        name: [float(getattr(cells, name)[rows].mean()) for rows in keys.values()]
        for name in ("value", "chance", "ceiling")
    }
    return Cells.of_table(columns)


def read_groups(path: str | os.PathLike[str]) -> dict[str, str]:
    """ROI -> network of a CSV file with the columns roi and network.

    Raises:
        DataError: no such file, columns or rows, a blank cell, or a ROI with two networks.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"there is no file {file}; expected a CSV with the columns roi,network")
    found: dict[str, str] = {}
    for number, row in enumerate(csv_rows(file), 1):
        if not {"roi", "network"} <= set(row):
            raise DataError(f"{file} needs the columns roi,network; it has {', '.join(row)}")
        roi, network = row["roi"], row["network"]
        if roi is None or network is None:
            raise DataError(f"{file}, row {number}: a ROI and its network are expected, got {roi!r} and {network!r}")
        if found.setdefault(roi, network) != network:
            raise DataError(f"{file} puts ROI {roi!r} into {found[roi]!r} and {network!r}")
    if not found:
        raise DataError(f"{file} has no rows; expected the columns roi,network and a row per ROI")
    return found
