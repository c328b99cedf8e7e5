"""The literal table of data sets: what each is, its pinned files, whom to cite, under which terms.

Sizes and sha256 were computed from copies at hand; an address is given where the very file is public.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from ontogeny.errors import DataError, nearest

__all__ = ["SOURCES", "PinnedFile", "Source", "find_source"]

_RSATOOLBOX = (
    "https://raw.githubusercontent.com/rsagroup/rsatoolbox/f1f83cadb7243492a1aae7460466e0f0140b20ac/demos/92imageData/"
)
_VARDA = (
    "https://raw.githubusercontent.com/Andrea-de-Varda/multilingual-models-brain/"
    "6bc237d9477155387c8f1ddf28cefd5ad812996a/additional_analyses/control/"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """One file, pinned.

    Args:
        path: relative to the data folder, with forward slashes.
        sha256: 64 hex digits.
        size: bytes.
        address: where it is public, or None where this very file is not.

    Raises:
        DataError: a path that would leave the data folder, or an address that is not http(s).
    """

    path: str
    sha256: str
    size: int
    address: str | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or "\\" in self.path or ":" in self.path or not path.parts:
            raise DataError(f"a pinned file's path stays inside the data folder, got {self.path!r}")
        if self.address is not None and urlsplit(self.address).scheme not in ("http", "https"):
            raise DataError(f"a pinned file's address starts with https:// or http://, got {self.address!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One named data set.

    Args:
        name: what `load`, `training_text` or `training_images` and the command line call it.
        kind: what it gives.
        title: one line.
        citation: whom to cite.
        licence: under which terms.
        about: what the files are.
        files: empty for embedded (simulated) worlds.
        stand_in: what to use instead where a file has no public address.
    """

    name: str
    kind: Literal["benchmark", "training text", "training images"]
    title: str
    citation: str
    licence: str
    about: str
    files: tuple[PinnedFile, ...] = ()
    stand_in: str | None = None

    @property
    def simulated(self) -> bool:
        """Made by this package's own code; there is no file to find."""
        return not self.files


SOURCES: tuple[Source, ...] = (
    Source(
        name="tuckute2024",
        kind="benchmark",
        title="1000 sentences x fMRI of the left language network",
        citation=(
            "Tuckute, G., Sathe, A., Srikant, S., et al. (2024). Driving and suppressing the human language network "
            "using large language models. Nature Human Behaviour 8, 544-561. doi:10.1038/s41562-023-01783-7"
        ),
        licence="MIT (the authors' repository, github.com/gretatuckute/drive_suppress_brains)",
        about=(
            "Six-word sentences and the BOLD response of the left language network to each. The file is the public "
            "copy in github.com/Andrea-de-Varda/multilingual-models-brain."
        ),
        files=(
            # Of the public file, the length and the last lines were compared with the hashed copy: the same.
            PinnedFile(
                path="tuckute2024/tuckute_averaged.csv",
                sha256="88b87a7d46d009c24859e8c31c9f189b4966055c2f78c6278a4dfbc097fec7de",
                size=114405,
                address=_VARDA + "tuckute_averaged.csv",
            ),
        ),
    ),
    Source(
        name="kriegeskorte2008",
        kind="benchmark",
        title="92 object photographs x fMRI geometry of human IT, 4 subjects",
        citation=(
            "Kriegeskorte, N., Mur, M., Ruff, D. A., et al. (2008). Matching categorical object representations in "
            "inferior temporal cortex of man and monkey. Neuron 60, 1126-1141. doi:10.1016/j.neuron.2008.10.043"
        ),
        licence="MIT (rsatoolbox authors, for the files); the photographs' own copyright is not stated",
        about="MATLAB files as published with the rsatoolbox demos: photographs, labels, RDMs a subject and session.",
        files=(
            # Hashed from copies said to be of this commit; the public bytes were not fetched when this was written.
            PinnedFile(
                path="kriegeskorte2008/92_brainRDMs.mat",
                sha256="1743f90a15e895798a94318649e80e1123a7e5943a1703fa1dd7c31ea5780b7c",
                size=224663,
                address=_RSATOOLBOX + "92_brainRDMs.mat",
            ),
            PinnedFile(
                path="kriegeskorte2008/Kriegeskorte_Neuron2008_supplementalData.mat",
                sha256="06f21214399a5d43dc264eed19a7f4b8daf11c8622a59eec3e106064ce5e3504",
                size=3603779,
                address=_RSATOOLBOX + "Kriegeskorte_Neuron2008_supplementalData.mat",
            ),
        ),
    ),
    Source(
        name="planted-language",
        kind="benchmark",
        title="SIMULATED: sentences of a small grammar, voxels that follow form, word class, meaning",
        citation="ontogeny, embedded world; responses are computed, not measured",
        licence="MIT (this package)",
        about="Generated by ontogeny.simulated.language_world, deterministic by seed; a known-answer world.",
    ),
    Source(
        name="planted-vision",
        kind="benchmark",
        title="SIMULATED: rendered shapes, voxels that follow contrast energy, shape, category",
        citation="ontogeny, embedded world; responses are computed, not measured",
        licence="MIT (this package)",
        about="Generated by ontogeny.simulated.vision_world, deterministic by seed; a known-answer world.",
    ),
    Source(
        name="planted-captions",
        kind="benchmark",
        title="SIMULATED: captions of the pictures of planted-vision, with the same voxels",
        citation="ontogeny, embedded world; responses are computed, not measured",
        licence="MIT (this package)",
        about="Generated by ontogeny.simulated.vision_world, deterministic by seed; pairs with planted-vision.",
    ),
    Source(
        name="books",
        kind="training text",
        title="12 MB of public-domain books, one paragraph per line",
        citation="Public-domain books, collected in github.com/mlschmitt/classic-books-markdown",
        licence="public domain",
        about="A 12 MB selection, one paragraph per line, of the books in github.com/mlschmitt/classic-books-markdown.",
        files=(
            # A selection made by hand: no public file has these bytes, so there is no address.
            PinnedFile(
                path="text/books.txt.gz",
                sha256="0e56329203c7089cb46434f36c9ea50042a049f5726d793152af71045fa30faa",
                size=4409053,
            ),
        ),
        stand_in=(
            "the embedded world's sentences (ontogeny.simulated.language_world), or any list of paragraphs of your own"
        ),
    ),
    Source(
        name="cifar10-sample",
        kind="training images",
        title="CIFAR-10: 15,000 training and 2,000 test pictures, 32 x 32",
        citation="Krizhevsky, A. (2009). Learning multiple layers of features from tiny images. University of Toronto.",
        licence="no formal licence; free for research",
        about="A balanced sample of CIFAR-10 as Parquet: image {bytes, path}, label, class.",
        files=(
            # A sample drawn by hand: no public file has these bytes, so there is no address.
            PinnedFile(
                path="images/cifar10_train.parquet",
                sha256="bdc15cd2b15ad1275913151accb858a1ca8ed49dbc29a567b708bc122e2b8e29",
                size=4574551,
            ),
            PinnedFile(
                path="images/cifar10_test.parquet",
                sha256="b81350ec123a29cb332b890b624c4339cf2120930f6a0282803db8942751a944",
                size=612679,
            ),
        ),
        stand_in="the embedded world's pictures (ontogeny.simulated.vision_world), or CIFAR-10 from its own site",
    ),
)


def find_source(name: str) -> Source:
    """The source of that name.

    Raises:
        DataError: no such data set; says the nearest names.
    """
    for source in SOURCES:
        if source.name == name:
            return source
    raise DataError(f"no data set is called {name!r}. {nearest(name, [s.name for s in SOURCES])}")
