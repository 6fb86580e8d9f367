"""The build-vocab command: trains a vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bovw.commands.feedback import on_cluster, progress, say
from bovw.commands.options import (
    DEFAULT_VOCAB,
    FOLDER,
    cluster_option,
    feature_options,
    jobs_option,
    quiet_option,
    training_options,
)
from bovw.commands.skips import Skips
from bovw.options import FeatureOptions, VocabularyOptions

if TYPE_CHECKING:
    from bovw.vocab import Vocabulary


@click.command("build-vocab")
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@click.option("--out", type=FOLDER, default=DEFAULT_VOCAB, show_default=True, envvar="BOVW_VOCAB",
              help="The folder to write.")  # fmt: skip
@training_options
@feature_options
@cluster_option
@jobs_option
@quiet_option
def build_vocab(
    folders: tuple[Path, ...], out: Path, words: int, seed: int, max_descriptors: int, bits: int,
    max_features: int, max_size: int, upright: bool, exclude: tuple[str, ...],
    cluster: str | None, jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Train a vocabulary of visual words on images.

    Example: bovw build-vocab photos --out bovw-vocab --words 65536
    """
    from bovw.images.find import find_images
    from bovw.ingest.run import Run
    from bovw.ingest.training import build_vocabulary, training_bytes
    from bovw.vocab.manifest import check_target

    check_target(out)
    skips = Skips()
    images = find_images(folders, exclude, skips.folder, skips.other)
    say(quiet, skips.others())
    features = FeatureOptions(max_size=max_size, max_features=max_features, upright=upright)
    options = VocabularyOptions(words, seed, max_descriptors, bits=bits)
    megabytes = training_bytes(options) / 1e6
    say(quiet, f"{len(images)} images; training on {max_descriptors:,} descriptors at most, "
                f"up to {megabytes:,.0f} MB of memory")  # fmt: skip
    with on_cluster(cluster) as workers:
        run = Run(jobs, progress(quiet), skips, workers=workers)
        vocabulary = build_vocabulary(images, features, options, run)
    _explain_fewer(vocabulary, options)
    vocabulary.save(out)
    say(quiet, f"{len(vocabulary.words):,} words written to {out}")
    skips.leave()


def _explain_fewer(vocabulary: Vocabulary, options: VocabularyOptions) -> None:
    """Explain a vocabulary with fewer words than asked for."""
    made, used = len(vocabulary.words), vocabulary.settings["descriptors"]
    if made < options.words:
        full = used >= options.max_descriptors
        more = "raise --max-descriptors" if full else "give more images"
        click.echo(
            f"{options.words:,} words asked for, {made:,} made: there were only {used:,} "
            f"descriptors; {more} for more words",
            err=True,
        )


COMMANDS = (build_vocab,)
