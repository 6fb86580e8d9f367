"""Stage 3: the visual vocabulary."""

from bovw.vocab.store import Vocabulary as Vocabulary
