"""Stage 3: the visual vocabulary."""

from bovw.vocab.vocabulary import Vocabulary as Vocabulary
from bovw.vocab.vocabulary import damaged_files as damaged_files
from bovw.vocab.vocabulary import read_manifest as read_manifest
