"""Repairs a damaged index."""

from __future__ import annotations

from pathlib import Path

from bovw.index import edit_index, forget_joined
from bovw.vocab import Vocabulary


def repair_index(folder: Path) -> list[str]:
    """Remove damaged segments from an index, and rewrite what follows from the others.

    Returns the names of the images that were in them; indexing their folder reads them again.
    Raises FormatError if the catalog or the words are damaged, because nothing can replace these.
    """
    lost: list[str] = []
    with edit_index(folder) as writers:
        for writer in writers:
            # Fails if the words are damaged. The rest of a vocabulary is recomputed from them.
            Vocabulary.load(writer.vocabulary_folder).save(writer.vocabulary_folder)
            lost += [name for id in writer.damaged_segments() for name in writer.discard(id)]
            writer.commit(anew=True)
        forget_joined(folder)
    return sorted(lost)
