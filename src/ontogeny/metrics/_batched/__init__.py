"""Metrics that share their work: whole grids of kernels or neighbours, many targets, several layers."""
