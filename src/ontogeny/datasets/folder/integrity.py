"""What a folder knows of its benchmark that scores do not need: its files' hashes, single repeats, voxels left out."""

from __future__ import annotations

import os
from pathlib import Path

from ontogeny.benchmarks.diagnostics.row_alignment import repeats_agree
from ontogeny.datasets.folder.benchmark_json import MANIFEST, read_manifest
from ontogeny.datasets.folder.read_folder import read_extras

__all__ = ["describe_folder"]

_REPEATED = 0.01


def describe_folder(folder: str | os.PathLike[str]) -> list[str]:
    """Hashes, whether each subject's odd and even repeats agree, and what was left out and why; a line each.

    Args:
        folder: with a benchmark.json.

    Raises:
        DataError: names the file, e.g. one whose hash is another.
    """
    manifest = read_manifest(Path(folder))
    for name in manifest.files:
        manifest.find(name, check=True)
    lines = [f"  files      {len(manifest.files)} of {len(manifest.files)} have the sha256 that {MANIFEST} lists"]
    for subject, extras in read_extras(folder, check=False).items():
        if extras.repeats is not None and (found := repeats_agree(extras.repeats)) is not None:
            verdict = "agree" if found.p <= _REPEATED else "DO NOT AGREE: is one in another order, or all noise?"
            lines.append(
                f"  repeats    subject {subject}: odd and even {verdict} (r = {found.r:.3f}, mean over voxels, "
                f"p = {found.p:.3f})"
            )
    dropped = [f"subject {e['subject']}: {len(e['voxels'])} voxels, {e['why']}" for e in manifest.facts["dropped"]]
    return lines + [f"  left out   {line}" for line in dropped or ["no voxel"]]
