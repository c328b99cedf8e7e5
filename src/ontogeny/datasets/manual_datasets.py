"""Sets that users get themselves, since they are large or ask for a form: where, under which terms, how they lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ontogeny.datasets.data_paths import data_folders
from ontogeny.errors import DataError, DatasetNotFoundError, nearest

__all__ = ["ELSEWHERE", "Elsewhere", "find_elsewhere", "folder_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """One set that is not downloaded by this package.

    Args:
        name: what `load` calls it, and the folder in `ONTOGENY_DATA` where it is looked for.
        title: one line.
        citation: whom to cite.
        address: where to get it.
        terms: under which terms; "not stated" where no public page says.
        size: about how much there is to get.
        layout: which files are read, relative to the folder.
        tried: whether the reader was run on the full real files; else it agrees with public code and made files alone.
    """

    name: str
    title: str
    citation: str
    address: str
    terms: str
    size: str
    layout: str
    tried: bool = False


_PEREIRA = (
    "Pereira, F., Lou, B., Pritchett, B., et al. (2018). Toward a universal decoder of linguistic meaning from brain "
    "activation. Nature Communications 9, 963. doi:10.1038/s41467-018-03068-4"
)

ELSEWHERE: tuple[Elsewhere, ...] = (
    Elsewhere(
        name="pereira2018",
        title="384 and 243 sentences in passages x fMRI of the language network, 10 participants",
        citation=_PEREIRA,
        address=(
            "Brain-Score: brainscore_language.load_dataset('Pereira2018.language') keeps assy_Pereira2018_language.nc "
            "in its cache (github.com/brain-score/language, brainscore_language/data/pereira2018)"
        ),
        terms="not stated",
        size="not stated; 627 sentences x 13,553 voxels",
        layout="one file *ereira2018*.nc: an xarray assembly, presentation x neuroid",
    ),
    Elsewhere(
        name="pereira2018_concepts",
        title="180 concepts in 6 sentences each x whole-brain fMRI geometry, 15 participants",
        citation=_PEREIRA,
        address="github.com/jeremyjrnt/LaCC-Project (principal components of the published responses)",
        terms="not stated for the components",
        size="1.8 MB",
        layout="pereira180_pca.npz: pcs (participants x concepts x components), concepts, sentences, subjects",
        tried=True,
    ),
    Elsewhere(
        name="lebel2023",
        title="Spoken stories, word by word x fMRI of the cortex, 8 participants",
        citation=(
            "LeBel, A., Wagner, L., Jain, S., et al. (2023). A natural language fMRI dataset for voxelwise encoding "
            "models. Scientific Data 10, 555. doi:10.1038/s41597-023-02437-z"
        ),
        address=(
            "openneuro.org/datasets/ds003020; datalad clone https://github.com/OpenNeuroDatasets/ds003020.git, then "
            "datalad get derivative/preprocessed_data derivative/TextGrids derivative/respdict.json"
        ),
        terms="CC0",
        size="about 20 GB of preprocessed data and annotations",
        layout=(
            "derivative/preprocessed_data/UTS0?/STORY.hf5 (data: volumes x voxels), "
            "derivative/TextGrids/STORY.TextGrid, derivative/respdict.json (volumes of each story)"
        ),
    ),
    Elsewhere(
        name="li2022",
        title="Le Petit Prince, an audiobook in 9 sections x fMRI; English, Chinese, French, 112 participants",
        citation=(
            "Li, J., Bhattasali, S., Zhang, S., et al. (2022). Le Petit Prince multilingual naturalistic fMRI corpus. "
            "Scientific Data 9, 530. doi:10.1038/s41597-022-01625-7"
        ),
        address=(
            "openneuro.org/datasets/ds003643; datalad clone https://github.com/OpenNeuroDatasets/ds003643.git, then "
            "datalad get annotation/EN derivatives/sub-EN057"
        ),
        terms="CC0",
        size="about 140 GB; one section of one participant about 80 MB",
        layout=(
            "derivatives/sub-EN057/func/sub-EN057_task-lppEN_run-15_space-MNIColin27_desc-preproc_bold.nii.gz, "
            "annotation/EN/lppEN_word_information.csv (word, onset, offset, section)"
        ),
    ),
    Elsewhere(
        name="nsd2022",
        title="Natural Scenes Dataset: photographs x 7 T fMRI betas of single trials, 8 participants",
        citation=(
            "Allen, E. J., St-Yves, G., Wu, Y., et al. (2022). A massive 7T fMRI dataset to bridge cognitive "
            "neuroscience and artificial intelligence. Nature Neuroscience 25, 116-126. doi:10.1038/s41593-021-00962-x"
        ),
        address="naturalscenesdataset.org (data manual); aws s3 sync s3://natural-scenes-dataset/...",
        terms="not stated here; read and accept the terms at naturalscenesdataset.org",
        size="about 1 GB a session as HDF5, 30 to 40 sessions a subject; the photographs unpacked 40 GB",
        layout=(
            "as the bucket: nsddata/experiments/nsd/nsd_expdesign.mat, "
            "nsddata/ppdata/subjNN/func1pt8mm/roi/ATLAS.nii.gz, nsddata/freesurfer/subjNN/label/ATLAS.mgz.ctab, "
            "nsddata_betas/ppdata/subjNN/func1pt8mm/betas_fithrf_GLMdenoise_RR/{betas_sessionNN.hdf5 or .nii.gz, "
            "ncsnr.nii.gz}; for captions nsddata/experiments/nsd/nsd_stim_info_merged.csv; for images "
            "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
        ),
    ),
    Elsewhere(
        name="algonauts2023",
        title="Photographs of everyday scenes (NSD) x fMRI vertices of the visual cortex, 8 participants",
        citation=(
            "Gifford, A. T., Lahner, B., Saba-Sadiya, S., et al. (2023). The Algonauts Project 2023 Challenge: how the "
            "human brain makes sense of natural scenes. arXiv:2301.03198. Allen, E. J., St-Yves, G., Wu, Y., et al. "
            "(2022). A massive 7T fMRI dataset to bridge cognitive neuroscience and artificial intelligence. Nature "
            "Neuroscience 25, 116-126. doi:10.1038/s41593-021-00962-x"
        ),
        address="algonauts.csail.mit.edu/2023 (a form), one archive a subject",
        terms="not stated here; read them at the form",
        size="not stated; about 10,000 photographs x 39,000 vertices a subject",
        layout=(
            "subj01/training_split/training_fmri/lh_training_fmri.npy and rh_training_fmri.npy (images x vertices), "
            "subj01/training_split/training_images/train-0001_nsd-00013.png, "
            "subj01/roi_masks/lh.prf-visualrois_challenge_space.npy and so on"
        ),
    ),
    Elsewhere(
        name="things_fmri",
        title="Photographs of 720 concepts (THINGS) x fMRI of the whole brain, 3 participants",
        citation=(
            "Hebart, M. N., Contier, O., Teichmann, L., et al. (2023). THINGS-data, a multimodal collection of "
            "large-scale datasets for investigating object representations in human brain and behavior. eLife 12, "
            "e82580. doi:10.7554/eLife.82580"
        ),
        address="doi:10.25452/figshare.plus.20492835 (betas_csv.zip); the photographs: osf.io/jum2f",
        terms="not stated",
        size="43 GB packed (betas_csv.zip)",
        layout=(
            "betas_csv/sub-01_ResponseData.h5, sub-01_StimulusMetadata.csv, sub-01_VoxelMetadata.csv; "
            "images/aardvark/aardvark_01b.jpg (or object_images/...)"
        ),
    ),
)


def find_elsewhere(name: str) -> Elsewhere:
    """The set of that name.

    Raises:
        DataError: no such set; says the nearest names.
    """
    for one in ELSEWHERE:
        if one.name == name:
            return one
    raise DataError(f"no set from elsewhere is called {name!r}. {nearest(name, [e.name for e in ELSEWHERE])}")


def folder_of(name: str, given: str | os.PathLike[str] | None = None) -> Path:
    """Where a set lies: the folder (or file) given, or the one of its name in a data folder.

    Raises:
        DatasetNotFoundError: it is not there; says where it was looked for and where to get it.
    """
    places = [Path(given).expanduser()] if given is not None else [folder / name for folder in data_folders()]
    for place in places:
        if place.exists():
            return place
    one = find_elsewhere(name)
    looked = " and ".join(str(place) for place in places)
    raise DatasetNotFoundError(
        f"{name} is not on this machine; looked at {looked}. You get it yourself ({one.size}; terms: {one.terms}) from "
        f"{one.address}. Then give folder=..., or put it into a folder {name} of ONTOGENY_DATA. Files: {one.layout}"
    )
