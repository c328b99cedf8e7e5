"""A lab's own files -> a benchmark, matched by id, checked, or refused by name.

build_benchmark.py     all of it: tables, arrays, images or dissimilarities -> a benchmark and what a folder keeps
_array_files.py        CSV, TSV, Parquet, .npy, .safetensors, a folder of pictures
_subject_assembly.py   one subject's arrays -> an assembly; _from_images.py, _from_rdms.py
build_stories.py       stories: words and volumes on one clock; story_files.py, _story_responses.py, _who_heard.py
_ceilings.py           given, from repeats, or from the other subjects; _who_saw.py: which stimuli each subject saw
_whose_files.py        names of files against the subjects and stories that they are given for
image_files.py         which image files are one subject's; bids_derivatives.py: found by their BIDS names
_stimulus_order.py     where each stimulus is in another file, by id; _fold_columns.py: how stimuli are split into folds
"""
