"""Stage 3: the visual vocabulary."""

from bovw.vocab.manifest import damaged_files as damaged_files
from bovw.vocab.manifest import read_manifest as read_manifest
from bovw.vocab.vocabulary import Vocabulary as Vocabulary
