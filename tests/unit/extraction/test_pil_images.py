"""Pictures reach a transform as its author means them: PIL images in RGB, upright; a random transform is noticed."""

from __future__ import annotations

import io
import pickle
import random
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from PIL import Image
from tests.helpers.models import transform

from ontogeny import StimulusSet
from ontogeny.datasets._lazy_images import read_picture
from ontogeny.datasets.folder import read_benchmark, write_benchmark
from ontogeny.datasets.folder._stimulus_tables import Pictures
from ontogeny.datasets.own_data.build_benchmark import About, build
from ontogeny.errors import DataError, ProbeError
from ontogeny.extraction._pil_images import is_random, transform_pictures
from ontogeny.extraction.model_inputs import make_inputs
from ontogeny.stimuli import nuisance_features, surface_features

# Of PIL and numpy: until transformers 5 it had the plain name.
ViTImageProcessorPil = getattr(transformers, "ViTImageProcessorPil", transformers.ViTImageProcessor)

# Where EXIF (CIPA DC-008, tag 274) says the stored first row and column are -> the picture as it is seen.
SEEN = {
    1: lambda s: s,
    2: lambda s: s[:, ::-1],
    3: lambda s: s[::-1, ::-1],
    4: lambda s: s[::-1],
    5: lambda s: s.transpose(1, 0, 2),
    6: lambda s: np.rot90(s, -1),
    7: lambda s: s[::-1, ::-1].transpose(1, 0, 2),
    8: lambda s: np.rot90(s),
}


@pytest.fixture
def colour(rng) -> np.ndarray:
    return rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)


def pictures(*inputs, ids=None) -> StimulusSet:
    ids = ids or tuple(f"p{i}" for i in range(len(inputs)))
    return StimulusSet(name="mine", modality="image", ids=ids, inputs=inputs)


def tensors(stimuli: StimulusSet, how) -> torch.Tensor:
    """By the door that every probe takes."""
    return torch.cat([batch.inputs["pixels"] for batch in make_inputs(stimuli, how).batches(2)])


def turned(image: Image.Image, orientation: int, format: str = "PNG", **options) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    out = io.BytesIO()
    image.save(out, format, exif=exif, **options)
    return out.getvalue()


def as_pil(kind: str, colour: np.ndarray):
    grey = colour[:, :, 0]
    opaque = np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])
    return {
        "colour array": colour,
        "grey array": grey,
        "grey array, one channel": grey[:, :, None],
        "opaque array": opaque,
        "RGB": Image.fromarray(colour),
        "L": Image.fromarray(grey),
        "LA": Image.fromarray(grey).convert("LA"),
        "RGBA": Image.fromarray(opaque),
        "P": Image.fromarray(colour).quantize(108),
        "1": Image.fromarray(grey > 100),
        "CMYK": Image.fromarray(colour).convert("CMYK"),
        "YCbCr": Image.fromarray(colour).convert("YCbCr"),
    }[kind]


KINDS = ["colour array", "grey array", "grey array, one channel", "opaque array", "RGB", "L", "LA", "RGBA", "P", "1"]
KINDS += ["CMYK", "YCbCr"]


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_reaches_the_transform_as_a_pil_image_in_rgb(kind, colour):
    given = as_pil(kind, colour)

    def look(image):
        assert type(image) is Image.Image
        assert (image.mode, image.size) == ("RGB", (12, 9))
        return transform(image)

    got = tensors(pictures(given), look)
    array = given.squeeze() if isinstance(given, np.ndarray) else None
    theirs = (Image.fromarray(array) if array is not None else given).convert("RGB")
    np.testing.assert_array_equal((got[0].permute(1, 2, 0) * 255).round(), np.asarray(theirs))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((4, 4, 3)), r"stimulus 'p0': a picture should be .* got float64 \(4, 4, 3\)"),
        (np.zeros((3, 4, 6), np.uint8), r"got uint8 \(3, 4, 6\)"),
        (np.zeros((4, 4, 4), np.uint8), "stimulus 'p0' has transparent parts; save it as 8-bit RGB"),
        (Image.new("RGBA", (4, 4), (9, 9, 9, 100)), "transparent parts"),
        (Image.new("LA", (4, 4), (9, 100)), "transparent parts"),
        (Image.new("I;16", (4, 4), 1000), "mode I;16"),
        (Image.new("F", (4, 4)), "mode F"),
        ("a.png", "a picture should be a PIL image or uint8"),
    ],
)
def test_what_cannot_be_shown_as_8_bit_rgb_is_refused_by_name(given, said):
    with pytest.raises(DataError, match=said):
        tensors(pictures(given), transform)


def test_arrays_are_given_where_they_are_asked_for(colour):
    seen = []

    def look(image):
        seen.append(image)
        return torch.as_tensor(image).permute(2, 0, 1)

    stimuli = pictures(colour, Image.fromarray(colour))
    got = transform_pictures(stimuli, look, image_type="array").read(range(2))
    assert all(isinstance(image, np.ndarray) and image.dtype == np.uint8 for image in seen)
    np.testing.assert_array_equal(got, np.stack([colour.transpose(2, 0, 1)] * 2))
    deep = pictures(colour / 255, colour / 128)
    np.testing.assert_allclose(
        transform_pictures(deep, look, image_type="array").read(range(2)),
        np.stack([colour / 255, colour / 128]).transpose(0, 3, 1, 2),
    )
    with pytest.raises(DataError, match='say image_type="array" where a transform takes it'):
        transform_pictures(deep, look)


def test_another_image_type_is_refused(unchecked, colour):
    with pytest.raises(ProbeError, match="image_type is 'pil' or 'array', got 'tensor'"):
        transform_pictures(pictures(colour), transform, image_type="tensor")


def test_a_transform_of_arrays_alone_gets_arrays_and_may_write_to_them(colour):
    def of_arrays(image):
        height, _, _ = image.shape
        image[:] = np.minimum(image, 250)
        return torch.from_numpy(image).permute(2, 0, 1) / height

    before = colour.copy()
    got = tensors(pictures(colour, colour[:, ::-1]), of_arrays)
    np.testing.assert_array_equal(colour, before)
    np.testing.assert_allclose(got[0], np.minimum(colour, 250).transpose(2, 0, 1) / 9, rtol=1e-6)


def test_a_transform_that_takes_neither_says_what_came_of_both(colour):
    def broken(image):
        raise KeyError(type(image).__name__)

    with pytest.raises(
        ProbeError, match=r"'p0' neither as a PIL .* \(KeyError: 'Image'\) nor .* \(KeyError: 'ndarray'"
    ):
        tensors(pictures(colour), broken)


def test_a_transform_that_fails_later_names_the_stimulus(colour):
    def crop(image):
        if image.size != (12, 9):
            raise ValueError("too small")
        return transform(image)

    with pytest.raises(
        ProbeError, match=r"fails for stimulus 'p4', given as a PIL image in RGB \(ValueError: too small"
    ):
        tensors(pictures(*[colour] * 4, colour[:5]), crop)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (np.asarray, "got ndarray for stimulus 'p0'; end it with torch.from_numpy"),
        (lambda image: image, "got Image for stimulus 'p0'; does it lack ToTensor"),
        (lambda image: {"pixels": 1}, r"a mapping with 'pixel_values', got one with \['pixels'\] for stimulus 'p0'"),
        (lambda image: {"pixel_values": torch.zeros(2, 3, 4, 4)}, r"of one picture, got 2 \(\(2, 3, 4, 4\)\)"),
        (lambda image: torch.zeros(image.size), r"got \(12, 3\) for stimulus 'p1' after \(12, 9\)"),
    ],
)
def test_other_answers_are_refused(how, said, colour):
    with pytest.raises(ProbeError, match=said):
        tensors(pictures(colour, colour[:3]), how)


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"return_tensors": "pt"}, {"return_tensors": "np"}])
def test_image_processors_of_transformers_are_taken_as_they_are(options, rng):
    processor = ViTImageProcessorPil(size={"height": 12, "width": 10})
    images = [Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(4)]
    got = tensors(pictures(*images), lambda image: processor(image, **options))
    assert torch.equal(got, processor(images, return_tensors="pt")["pixel_values"])


def test_memory_that_a_transform_uses_again_is_no_trap(rng):
    images = rng.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    memory = torch.empty(3, 4, 4)

    def into(image):
        return memory.copy_(transform(image))

    assert torch.equal(tensors(pictures(*images), into), torch.stack([transform(image) for image in images]))
    with pytest.warns(UserWarning, match="gives two answers"):
        tensors(pictures(*images), lambda image: memory.copy_(transform(image) + torch.rand(1)))


# --- EXIF -------------------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_files_are_read_as_exif_says(orientation, format, tmp_path):
    stored = np.kron(np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10, np.ones((16, 16, 1), np.uint8))
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(format, {})
    path = tmp_path / f"a.{format.lower()}"
    path.write_bytes(turned(Image.fromarray(stored), orientation, format, **lossless))
    read, seen = read_picture(path), SEEN[orientation](stored)
    assert read.dtype == np.uint8
    assert read.shape == seen.shape
    np.testing.assert_allclose(read.astype(int), seen, atol=4 if format == "JPEG" else 0)


@pytest.mark.oracle
@pytest.mark.parametrize("orientation", SEEN)
def test_pictures_in_memory_and_in_folders_are_turned_too(orientation, colour, image_benchmark, tmp_path):
    def opened() -> Image.Image:
        return Image.open(io.BytesIO(turned(Image.fromarray(colour), orientation)))

    seen = np.ascontiguousarray(SEEN[orientation](colour))
    expected, plain = transform(seen), pictures(seen)
    assert torch.equal(tensors(pictures(opened()), transform)[0], expected)
    np.testing.assert_array_equal(Pictures(["p"], [turned(Image.fromarray(colour), orientation)])[0], seen)
    assert pictures(opened()).fingerprint() == plain.fingerprint()
    np.testing.assert_array_equal(surface_features(pictures(opened()))[1], surface_features(plain)[1])
    np.testing.assert_array_equal(nuisance_features(pictures(opened())), nuisance_features(plain))
    inputs = [opened() for _ in image_benchmark.stimuli.ids]
    object.__setattr__(image_benchmark, "stimuli", pictures(*inputs, ids=image_benchmark.stimuli.ids))
    kept = read_benchmark(write_benchmark(image_benchmark, tmp_path / "b")).stimuli
    np.testing.assert_array_equal(kept.inputs[3], seen)
    assert kept.fingerprint() == image_benchmark.stimuli.fingerprint()


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage, garbage", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\0\0", b"other"])
def test_exif_that_cannot_be_read_says_nothing(exif, colour, tmp_path):
    Image.fromarray(colour).save(tmp_path / "a.webp", exif=exif, lossless=True)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.webp"), colour)
    Image.fromarray(colour).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), colour)


def test_fingerprints_and_surfaces_of_arrays_stay_what_they_were(colour):
    """As written down before pictures were turned."""
    grey = colour[:, :, 0]
    assert pictures(colour).fingerprint() == FINGERPRINTS["colour"]
    assert pictures(grey, colour).fingerprint() == FINGERPRINTS["both"]
    assert pictures(Image.fromarray(grey)).fingerprint() == pictures(grey).fingerprint() == FINGERPRINTS["grey"]
    assert surface_features(pictures(grey, grey))[1].shape == (2, 64)


FINGERPRINTS = {"colour": "20293446339f9997", "both": "37100c9b817ffdbc", "grey": "7f5dd12599fbf993"}


def test_grey_pictures_among_coloured_ones_have_a_surface(colour):
    grey = colour[:, :, 0]
    both = surface_features(pictures(colour, grey))[1]
    np.testing.assert_array_equal(both, surface_features(pictures(colour, np.dstack([grey] * 3)))[1])


# --- random transforms ------------------------------------------------------------------------------------------------


def jitter_torch(image):
    return transform(image) + torch.rand(1)


def jitter_numpy(image):
    return transform(image) * np.random.uniform()


def jitter_python(image):
    return transform(image).flip(2) if random.random() < 0.5 else transform(image)


def jitter_crop(image):
    return transform(image)[:, :, : 3 + int(torch.randint(0, 6, ()))]


JITTERS = {name: globals()[f"jitter_{name}"] for name in ("torch", "numpy", "python")}


@pytest.mark.parametrize("name", JITTERS)
def test_a_random_transform_is_named_and_drawn_alike_whatever_the_seed(name, rng):
    images = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        with pytest.warns(UserWarning, match=r"two answers for stimulus 'p\d'; pass the one of your validation set"):
            found.append(tensors(pictures(*images), JITTERS[name]))
    assert torch.equal(*found)
    assert not torch.equal(found[0], torch.stack([transform(image) for image in images]))
    with pytest.warns(UserWarning, match="under a fixed seed"):
        some = tensors(pictures(*images[::-1], ids=tuple(f"p{i}" for i in range(6))[::-1]), JITTERS[name])
    assert torch.equal(some.flip(0), found[0])
    assert is_random(JITTERS[name], list(images[:3]))


def test_sizes_that_are_random_are_noticed_before_they_fail(colour):
    assert is_random(jitter_crop, [colour])
    with (
        pytest.warns(UserWarning, match="two answers"),
        pytest.raises(ProbeError, match="tensors of one shape"),
    ):
        tensors(pictures(*[colour] * 8), jitter_crop)


def test_a_generator_of_its_own_is_said_to_be_beyond_seeds(colour):
    own = np.random.default_rng(0)
    with pytest.warns(UserWarning, match="no seed fixes it: it has a generator of its own"):
        tensors(pictures(colour), lambda image: transform(image) + own.uniform())


def test_a_transform_that_draws_nothing_is_let_pass(colour):
    nan = transform(colour)
    nan[0, 0, 0] = float("nan")
    assert not is_random(transform, [colour, Image.fromarray(colour)])
    assert not is_random(lambda image: nan, [colour])
    assert not is_random(transform, [])


def test_random_states_are_as_before(unchecked, colour):
    states, stimuli = [], pictures(colour)
    for how in (None, transform, jitter_torch):
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        if how is transform:
            transform_pictures(stimuli, how).read([0])
        elif how is not None:
            assert is_random(how, [colour])
            with pytest.warns(UserWarning, match="two answers"):
                transform_pictures(stimuli, how).read([0])
        states.append((torch.rand(2).tolist(), np.random.uniform(size=2).tolist(), random.random()))
    assert states[0] == states[1] == states[2]


@pytest.mark.long
def test_another_process_reads_the_same_tensors(colour, tmp_path):
    np.save(tmp_path / "a.npy", colour)
    code = (
        "import sys, warnings, numpy as np, torch\n"
        "warnings.simplefilter('ignore'); torch.manual_seed(int(sys.argv[1]))\n"
        "from tests.unit.extraction.test_pil_images import jitter_torch, pictures, tensors\n"
        f"print(tensors(pictures(np.load({str(tmp_path / 'a.npy')!r})), jitter_torch).sum().item())"
    )
    seen = {
        subprocess.run([sys.executable, "-c", code, seed], capture_output=True, text=True, check=True).stdout
        for seed in "12"
    }
    assert len(seen) == 1


def test_tensors_that_would_fill_the_memory_are_made_batch_by_batch_and_are_the_same(monkeypatch, unchecked):
    made, n = [], 10
    rng = np.random.default_rng(0)
    stimuli = pictures(*(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8) for _ in range(n)))

    def noisy(image):
        made.append(image)
        return torch.as_tensor(np.array(image)).permute(2, 0, 1) + torch.rand(1)

    with pytest.warns(UserWarning, match="two answers"):
        kept = list(make_inputs(stimuli, noisy).batches(4))
    monkeypatch.setattr("ontogeny.extraction.model_inputs.available", lambda: 8 * n * 6 * 5 * 3 - 1)
    with pytest.warns(UserWarning, match="two answers"):
        reader = make_inputs(stimuli, noisy)
    made.clear()
    batches = list(reader.batches(4))
    assert made == []
    assert [batch.rows for batch in batches] == [batch.rows for batch in kept]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for now, whole in zip(batches, kept, strict=True):
        assert torch.equal(now.inputs["pixels"], whole.inputs["pixels"])
        assert torch.equal(now.to(torch.device("cpu")).inputs["pixels"], whole.inputs["pixels"])
        assert torch.equal(now.only([1]).inputs["pixels"], whole.only([1]).inputs["pixels"])
        assert now.inputs.get("attention_mask") is None
    assert torch.equal(torch.get_rng_state(), before)


def test_pictures_of_a_folder_stay_in_their_files(tmp_path):
    """Thousands of pictures take no more memory than a few: of 24 of 1 MB each, never half are there."""
    rng = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(rng.integers(0, 255, (590, 590, 3), dtype=np.uint8) // 64 * 64).save(tmp_path / f"{number}.png")
    responses = tmp_path / "responses.npy"
    np.save(responses, rng.standard_normal((24, 3)))
    about = About(name="n", citation="c", licence="l", about="a")
    tracemalloc.start()
    made = build(tmp_path, about=about, responses={"s1": responses}).benchmark
    half = made.halves()[0]
    digests = made.stimuli.fingerprint(), half.stimuli.fingerprint()
    surface_features(made.stimuli)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 2**20
    assert digests[0] != digests[1]
    np.testing.assert_array_equal(half.stimuli.inputs[0], read_picture(tmp_path / f"{half.stimuli.ids[0]}.png"))


def test_a_folder_of_many_pictures_is_written_and_read_in_pieces(tmp_path, image_benchmark, monkeypatch):
    """Arrow counts the bytes of one chunk in 31 bits; small folders stay as they were, to the byte."""
    whole, parted = write_benchmark(image_benchmark, tmp_path / "whole"), tmp_path / "parted"
    monkeypatch.setattr("ontogeny.datasets.folder._stimulus_tables._CHUNK", 2000)
    write_benchmark(image_benchmark, parted)
    kinds = [pq.ParquetFile(folder / "stimuli.parquet").num_row_groups for folder in (whole, parted)]
    assert kinds[0] == 1
    assert kinds[1] > 3
    read = read_benchmark(parted)
    assert read.fingerprint() == read_benchmark(whole).fingerprint() == image_benchmark.fingerprint()
    pictures = pickle.loads(pickle.dumps(read.stimuli.inputs))[-3:]  # noqa: S301 - our own
    for mine, theirs in zip(pictures, image_benchmark.stimuli.inputs[-3:], strict=True):
        np.testing.assert_array_equal(mine, theirs)
