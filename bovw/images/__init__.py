"""Stage 1: images found on disk and decoded upright."""
