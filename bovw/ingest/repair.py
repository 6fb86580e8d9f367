"""What can be done for an index that is not whole."""

from __future__ import annotations

from pathlib import Path

from bovw.index import edit_index, forget_joined
from bovw.vocab import Vocabulary


def repair_index(folder: Path) -> list[str]:
    """Take damaged segments out of an index, and make again what follows from the others.

    Returns the names of the images that were in them: indexing their folder reads them again.
    Raises FormatError where the catalog or the words are damaged, which nothing can replace.
    """
    lost: list[str] = []
    with edit_index(folder) as writers:
        for writer in writers:
            # Fails where the words are damaged; the rest of a vocabulary is made again of them.
            Vocabulary.load(writer.vocabulary_folder).save(writer.vocabulary_folder)
            lost += [name for id in writer.damaged_segments() for name in writer.discard(id)]
            writer.commit(anew=True)
        forget_joined(folder)
    return sorted(lost)
