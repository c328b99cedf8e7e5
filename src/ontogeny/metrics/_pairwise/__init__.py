"""Pairs of stimuli: dissimilarities, kernels, nearest neighbours."""
