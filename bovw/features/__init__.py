"""Stage 2: the local features of a picture."""
