"""Can a benchmark be relied on? Row order, leaks between folds, and how small an effect would show.

row_alignment.py   are the rows of the responses those of the stimuli?
split_leakage.py   do the folds let a model know held-out responses by their neighbours?
power.py           how many independent stimuli, and the smallest detectable effect
"""
