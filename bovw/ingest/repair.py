"""Repairs a damaged index."""

from __future__ import annotations

from pathlib import Path

from bovw.index import commit_all, damaged_among, edit_index, forget_damaged, vocabulary_files
from bovw.vocab import Vocabulary


def repair_index(folder: Path) -> list[str]:
    """Remove damaged segments from an index, and rewrite what follows from the others.

    What is whole is not touched. Returns the names of the images that were in the segments;
    indexing their folder reads them again. Raises FormatError if the catalog or the words are
    damaged, because nothing can replace these.
    """
    lost: list[str] = []
    with edit_index(folder) as writers:
        for writer in writers:
            if damaged_among(writer.folder, vocabulary_files(writer.meta)):
                # Fails if the words are damaged. The rest of a vocabulary is computed from them.
                words = Vocabulary.load(writer.vocabulary_folder)
                words.save(writer.renew_vocabulary())
            lost += [name for id in writer.damaged_segments() for name in writer.discard(id)]
        forget_damaged(folder)
        damaged = any(writer.committed.damaged() for writer in writers)
        commit_all(folder, writers, anew=damaged)
    return sorted(lost)
