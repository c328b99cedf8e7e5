"""Your own stories: word times and BOLD in, a language model watched while it trains, word by word.

    python recipes/own_stories.py --folder my_lab --record runs/own_stories

The folder holds two files a story (made up where none is given, with the same files):

    NAME_words.tsv   word, onset, offset in seconds from the first volume on
    NAME_bold.npy    volumes x voxels, detrended; the first of two regions has the first half of the voxels
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import ontogeny
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.metrics import Ridge, make_folds
from ontogeny.neuroimaging import Story, convolve_glover, story_pieces, to_volumes, zscore_runs
from ontogeny.neuroimaging.table_files import read_sheet
from ontogeny.simulated.language_world import KINDS, training_sentences

TR, ROIS = 2.0, ("word rate", "meaning")


def make_up(folder: Path, n_stories: int = 6, sentences: int = 24) -> Path:
    """A simulated lab: half of the voxels follow how many words are heard, half of what kind the things are."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds, rng = list(KINDS), np.random.default_rng(0)
    mixing = rng.standard_normal((len(kinds), 20))
    for number in range(n_stories):
        words = " ".join(training_sentences(seed=100 + number, n=sentences)).split()
        onsets = np.cumsum(rng.uniform(0.2, 0.6, size=len(words)))
        about = np.array([[float(word in KINDS[kind].things) for kind in kinds] for word in words])
        middles = (np.arange(int(onsets[-1] / TR) + 6) + 0.5) * TR
        latents = to_volumes(onsets + 0.1, np.hstack([np.ones((len(words), 1)), 3 * about]), middles)
        heard = convolve_glover(latents, stories=["story"] * len(middles), tr=TR)
        signal = np.hstack([np.tile(heard[:, :1], 20), heard[:, 1:] @ mixing])
        noisy = signal / signal.std(axis=0) + rng.standard_normal(signal.shape)
        np.save(folder / f"story{number}_bold.npy", noisy.astype(np.float32))
        rows = [f"{word}\t{onset:.3f}\t{onset + 0.2:.3f}\n" for word, onset in zip(words, onsets, strict=True)]
        (folder / f"story{number}_words.tsv").write_text("word\tonset\toffset\n" + "".join(rows))
    return folder


def read_lab(folder: Path, context: int) -> ontogeny.Benchmark:
    """Files -> a benchmark whose stimuli are volumes, and that is read word by word."""
    stories, bold = [], []
    for path in sorted(folder.glob("*_words.tsv")):
        name, sheet = path.name.removesuffix("_words.tsv"), read_sheet(path)
        bold.append(np.load(folder / f"{name}_bold.npy")[5:])
        stories.append(
            Story(
                name=name,
                words=sheet.texts("word"),
                times=(np.array(sheet.numbers("onset")) + sheet.numbers("offset")) / 2,
                volume_times=(np.arange(len(bold[-1]) + 5) + 0.5) * TR,
                start=5,  # volumes cut at the beginning of each story, as above
            )
        )
    pieces = story_pieces(stories, name="own stories", context=context, response=(1, 2, 3, 4))
    volumes, values = pieces.stimuli, np.concatenate(bold)
    brain = ontogeny.Assembly(
        name="own BOLD (z)",
        subject="01",
        stimulus_ids=volumes.ids,
        responses=zscore_runs(values, volumes.groups),
        roi=tuple(np.repeat(ROIS, values.shape[1] // 2).tolist()),
    )
    return ontogeny.Benchmark(
        name="own-stories",
        version="1",
        citation="whom to cite",
        licence="whose terms",
        about="what was heard and how BOLD was preprocessed",
        simulated=False,
        stimuli=volumes,
        pieces=pieces,
        assemblies=(brain,),
        metrics=(Ridge(rule="kfold"),),  # not "gcv" or "loo": see ontogeny.neuroimaging.story_words
        folds=make_folds(len(volumes), n_folds=3, groups=volumes.groups),
    )


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="your data; made up where not given")
    parser.add_argument("--record", type=Path, default=Path("runs/own_stories"))
    parser.add_argument("--context", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args(argv)

    benchmark = read_lab(args.folder or make_up(args.record / "lab"), args.context)
    print(f"{len(benchmark.stimuli)} volumes; {benchmark.pieces.how}")
    texts = training_sentences(seed=1, n=2000)
    tokenizer = train_tokenizer(texts, vocabulary=1024)
    rows, model = chunks(texts, tokenizer), small_gpt(len(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    monitor = ontogeny.watch(benchmark, record=args.record, tokenizer=tokenizer, schedule="log:4")
    monitor(model, 0)  # before the first update
    for step in range(1, args.steps + 1):
        batch = rows[torch.randint(0, len(rows), (32,))]
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor(model, step)  # probes when the schedule says so
    monitor.finish(model, args.steps)
    for roi in ROIS:
        (rate,) = monitor.record.select(kind="baseline", roi=roi)
        curve = monitor.record.series(layer="transformer.h.2", roi=roi)
        print(f"{roi}: {curve.values[0]:+.3f} at step 0, {curve.values[-1]:+.3f} at the end; ", end="")
        print(f"{rate.layer} alone {rate.value:+.3f}")


if __name__ == "__main__":
    main()
