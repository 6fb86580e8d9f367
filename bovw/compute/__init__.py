"""Kernels, threads, processes and memory for every stage."""
