"""Retrieval benchmarks: their data sets and protocols, their measures, and the running of them."""
