"""Stage 3: the visual vocabulary."""

from bovw.vocab.vocabulary import Vocabulary as Vocabulary
