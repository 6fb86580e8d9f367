"""Stage 4: the inverted file on disk."""

from bovw.index.snapshot import Index as Index
from bovw.index.writer import IndexWriter as IndexWriter
