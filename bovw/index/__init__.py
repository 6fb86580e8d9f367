"""Stage 4: the inverted file on disk."""

from bovw.index.reader import Index as Index
