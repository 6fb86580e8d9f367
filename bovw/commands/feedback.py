"""Helpers that the commands share: remarks, progress, and the given vocabulary."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bovw.commands.options import DEFAULT_VOCAB, WORDS
from bovw.compute.text import one_line
from bovw.feedback import Progress, no_progress
from bovw.options import IngestOptions

if TYPE_CHECKING:
    from bovw.cluster.engines import Cluster
    from bovw.commands.skips import Skips
    from bovw.index import Index
    from bovw.vocab import Vocabulary

# How many times as many words a collection has to deserve before that is said.
OUTGROWN = 10
NO_VOCABULARY = "no vocabulary given: training one on these images"


def say(quiet: bool, text: str) -> None:
    """Print a remark, unless it is empty."""
    if text and not quiet:
        click.echo(one_line(text), err=True)


def progress(quiet: bool) -> Progress:
    """Return a progress bar for long stages, or no progress outside a terminal."""

    def bar(results: Iterable[Any], length: int, label: str) -> AbstractContextManager[Any]:
        return click.progressbar(results, length=length, label=label, file=sys.stderr)

    return no_progress if quiet or not sys.stderr.isatty() else bar


@contextmanager
def on_cluster(address: str | None) -> Iterator[Cluster | None]:
    """Join the cluster at an address for one block; yield None without an address."""
    if address is None:
        yield None
        return
    from bovw.cluster.engines import connect

    cluster = connect(address)
    try:
        yield cluster
    finally:
        cluster.close()


def find_vocabulary(vocab: Path | None, quiet: bool) -> Vocabulary | None:
    """Load the given vocabulary, else the one in the default folder, else None."""
    from bovw.vocab import Vocabulary

    if vocab is None and not DEFAULT_VOCAB.is_dir():
        return None
    loaded = Vocabulary.load(vocab or DEFAULT_VOCAB)
    say(quiet, f"using the {len(loaded.words):,} words of {vocab or DEFAULT_VOCAB}")
    return loaded


def contents(index: Index) -> str:
    """Summarize an index."""
    size = sum(index.bytes().values())
    return (
        f"{counted(len(index), index.skipped)}, {index.features:,} features, "
        f"{index.meta['words']:,} words, {size / 1e6:,.1f} MB in {index.folder}"
    )


def counted(images: int, skipped: int) -> str:
    """Say how many images can be found, and how many are on record because they cannot."""
    return f"{images:,} images" + (f" and {skipped:,} skipped" if skipped else "")


def outgrown(index: Index) -> str:
    """Say what to do if a collection deserves ten times the words of its index; else nothing."""
    from bovw.ingest.training import fitting_words

    words, fitting = index.meta["words"], min(fitting_words(index.features), WORDS.words)
    if fitting < OUTGROWN * words:
        return ""
    return (
        f"{words:,} words are few for {len(index):,} images, and queries are slow: they deserve "
        f"{fitting:,}; `bovw build-vocab DIR --out VOCAB`, then `bovw index DIR --vocab VOCAB "
        "--index NEW`"
    )


def check_html(html: Path | None) -> None:
    """Refuse a file that cannot be written, before the work starts."""
    from bovw.results.files import check_output

    if html:
        check_output(html, ".html", ".htm")


def calibrated(
    index: Index, options: IngestOptions, jobs: int | None, quiet: bool, skips: Skips
) -> Index:
    """Calibrate an index if it was never, or has doubled since; return it as it is then."""
    from bovw.ingest.calibrate import is_outgrown

    if not is_outgrown(index):
        return index
    return measure_chance(index.folder, options, jobs, quiet, skips)


def measure_chance(
    index: Path, options: IngestOptions, jobs: int | None, quiet: bool, skips: Skips
) -> Index:
    """Calibrate an index, say what was found, and return it as it is then."""
    from bovw.index import Index
    from bovw.ingest.calibrate import calibrate_index
    from bovw.ingest.run import Run
    from bovw.search import Searcher

    calibrate_index(index, Run(jobs, progress(quiet), skips, options))
    made = Index.open(index)
    calibration = Searcher(made).calibration
    say(quiet, f"calibrated with {calibration.decoys:,} mirrored images: chance gives "
               f"{calibration.factor:.2f} times what it usually does")  # fmt: skip
    return made
