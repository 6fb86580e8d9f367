"""The settings of a long run over images, and the recipe of an index."""

from __future__ import annotations

from dataclasses import dataclass

from bovw.compute.processes import Workers
from bovw.compute.threads import limit_jobs
from bovw.feedback import OnSkip, Progress, ignore_skip, no_progress
from bovw.index import ImageRow
from bovw.ingest.collection import Collection
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions
from bovw.vocab import Vocabulary


@dataclass(frozen=True)
class Run:
    """The settings and callbacks of a run that reads images.

    jobs      processes on this machine; None for as many as it has processors
    progress  shows a stage's progress
    on_skip   hears of each image that cannot be used, and why
    on_remark  hears of each image that can be used, but with a remark
    options   batches and time limits
    workers   of a cluster, which read the images instead of this machine's processes
    """

    jobs: int | None = None
    progress: Progress = no_progress
    on_skip: OnSkip = ignore_skip
    options: IngestOptions = IngestOptions()
    workers: Workers | None = None
    on_remark: OnSkip = ignore_skip

    @property
    def processes(self) -> int:
        """How many processes to use on this machine."""
        return limit_jobs(self.jobs)

    def report(self, row: ImageRow) -> None:
        """Tell why an image was skipped, or what there is to remark about it."""
        if row.reason:
            (self.on_remark if row.status == "ok" else self.on_skip)(row.name, row.reason)


@dataclass(frozen=True)
class Recipe:
    """The vocabulary and options of an index; None for those of an existing index.

    vocabulary  for a new index, None trains one of a fitting size on the same images
    features    for a new index, None stands for the defaults
    training    how a vocabulary is trained
    shards      number of shards of a new index; None for an index of one folder
    collection  the folders of the images, to be kept in the index
    """

    vocabulary: Vocabulary | None = None
    features: FeatureOptions | None = None
    training: VocabularyOptions = VocabularyOptions()
    shards: int | None = None
    collection: Collection | None = None
