"""How a long run over images is done, and what an index is made with."""

from __future__ import annotations

from dataclasses import dataclass

from bovw.compute.processes import Workers
from bovw.compute.threads import limit_jobs
from bovw.feedback import OnSkip, Progress, ignore_skip, no_progress
from bovw.index import ImageRow
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.vocab import Vocabulary


@dataclass(frozen=True)
class Run:
    """How images are read, and who hears of it.

    jobs      processes on this machine; None for as many as it has processors
    progress  shows how far a stage is
    on_skip   hears of each image that cannot be used, and why
    options   batches and time limits
    workers   of a cluster, which then read the images in place of this machine's processes
    """

    jobs: int | None = None
    progress: Progress = no_progress
    on_skip: OnSkip = ignore_skip
    options: IngestOptions = IngestOptions()
    workers: Workers | None = None

    @property
    def processes(self) -> int:
        """How many processes to use on this machine."""
        return limit_jobs(self.jobs)

    def report(self, row: ImageRow) -> None:
        """Tell why an image was skipped, if it was."""
        if row.reason:
            self.on_skip(row.name, row.reason)


@dataclass(frozen=True)
class Recipe:
    """What an index is made with; None stands for what the index in the folder has already.

    vocabulary  for a new index, None trains one of a fitting size on the same images
    features    for a new index, None stands for the defaults
    training    how a vocabulary is trained
    shards      how many parts a new index has, each with the images whose names fall to it; None
                for an index of one folder
    """

    vocabulary: Vocabulary | None = None
    features: FeatureOptions | None = None
    training: VocabularyOptions = VocabularyOptions()
    shards: int | None = None
