"""Pairwise metrics of more stimuli than all pairs of them fit into memory: pairs are made in tiles, and not kept."""
