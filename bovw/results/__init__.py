"""Stage 7: answers written as a table, JSON, CSV, paths, or a TREC run."""
