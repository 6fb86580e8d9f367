"""Retrieval benchmarks: data sets, protocols, measures and runs."""
