"""The commands that make and change vocabularies and indexes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bovw.commands.feedback import NO_VOCABULARY, find_vocabulary, on_cluster, progress, say
from bovw.commands.options import (
    DEFAULT_VOCAB,
    FOLDER,
    cluster_option,
    feature_options,
    index_option,
    ingest_options,
    jobs_option,
    quiet_option,
    training_options,
)
from bovw.commands.skips import Skips
from bovw.errors import BovwError
from bovw.options import FeatureOptions, IngestOptions, VocabularyOptions

if TYPE_CHECKING:
    from bovw.images.find import ImageFile
    from bovw.index import Index
    from bovw.index.catalog import ImageRow


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
    from bovw.ingest.training import build_vocabulary, training_bytes
    from bovw.vocab.vocabulary import check_target

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
        vocabulary = build_vocabulary(
            images, features, options, jobs, progress(quiet), skips, workers
        )
    if len(vocabulary.words) < words:
        used = vocabulary.settings["descriptors"]
        more = "raise --max-descriptors" if used >= max_descriptors else "give more images"
        click.echo(
            f"{words:,} words asked, {len(vocabulary.words):,} made: there were only {used:,} "
            f"descriptors; {more} for more words",
            err=True,
        )
    vocabulary.save(out)
    say(quiet, f"{len(vocabulary.words):,} words written to {out}")
    skips.leave()


@click.command("index")
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DIR...")
@index_option
@click.option("--vocab", type=FOLDER, envvar="BOVW_VOCAB",
              help="A vocabulary's folder, for a new index.  [default: bovw-vocab where there is "
                   "one, else one is trained on the same images]")  # fmt: skip
@feature_options
@ingest_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--shards", type=click.IntRange(1, 10_000),
              help="Make a new index of so many parts, for several machines.")  # fmt: skip
@cluster_option
@jobs_option
@quiet_option
@click.pass_context
def make_index(
    context: click.Context, folders: tuple[Path, ...], index: Path, vocab: Path | None,
    max_features: int, max_size: int, upright: bool, exclude: tuple[str, ...], batch: int,
    time_limit: float, retry: bool, dry_run: bool, shards: int | None, cluster: str | None,
    jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Index images, so that queries find them; an index that is there is brought up to date.

    Images are named by their path below the folder given. New and changed ones are read, moved
    ones keep their features, and those that are gone from the folder are removed.

    Example: bovw index photos --index bovw-index
    """
    from bovw.images.find import find_images
    from bovw.index.sharded import read_any_meta
    from bovw.ingest.build import build_index
    from bovw.ingest.changes import below

    skips = Skips()
    images = find_images(folders, exclude, skips.folder, skips.other)
    say(quiet, skips.others())
    may_vanish = below(folders)
    if dry_run:
        _show_plan(index, images, may_vanish, retry)
        return
    meta = read_any_meta(index)
    given = {
        name: value
        for name, value in (
            ("max_features", max_features), ("max_size", max_size), ("upright", upright)
        )
        if not meta or context.get_parameter_source(name) != ParameterSource.DEFAULT
    }  # fmt: skip
    features = FeatureOptions(**meta.get("options", {}) | given)
    chosen = not meta or context.get_parameter_source("vocab") == ParameterSource.COMMANDLINE
    vocabulary = find_vocabulary(vocab, quiet) if chosen else None
    say(quiet or bool(meta) or vocabulary is not None, NO_VOCABULARY)
    with on_cluster(cluster) as workers:
        made = build_index(
            images,
            index,
            vocabulary,
            features,
            jobs=jobs,
            progress=progress(quiet),
            on_skip=skips,
            ingest=IngestOptions(batch, time_limit, retry),
            may_vanish=may_vanish,
            on_plan=lambda plan: say(quiet or not meta, plan.summary()),
            shards=shards,
            cluster=workers,
        )
    say(quiet, _contents(made))
    skips.leave()


@click.command()
@click.argument("images", nargs=-1, required=True, type=FOLDER, metavar="IMG...")
@index_option
@ingest_options
@jobs_option
@quiet_option
def add(
    images: tuple[Path, ...], index: Path, batch: int, time_limit: float, retry: bool,
    jobs: int | None, quiet: bool,
) -> None:  # fmt: skip
    """Add images to an index, or read them again where they have changed.

    They are named by their path below a folder that is indexed, else by their file's name.

    Example: bovw add new/photo.jpg --index bovw-index
    """
    from bovw.index import Index
    from bovw.ingest.build import build_index
    from bovw.ingest.changes import name_files

    skips = Skips()
    files = name_files(images, Index.open(index).images())
    made = build_index(
        files,
        index,
        jobs=jobs,
        progress=progress(quiet),
        on_skip=skips,
        ingest=IngestOptions(batch, time_limit, retry),
        may_vanish=lambda row: False,
        on_plan=lambda plan: say(quiet, plan.summary()),
    )
    say(quiet, _contents(made))
    skips.leave()


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@index_option
@quiet_option
def remove(names: tuple[str, ...], index: Path, quiet: bool) -> None:
    """Remove images from an index; their files stay.

    NAME is as `bovw list` shows it. `bovw index` on the image's folder adds it again.

    Example: bovw remove holiday/0012.jpg --index bovw-index
    """
    from bovw.index import Index
    from bovw.index.sharded import changing, shard_of

    with changing(index) as writers:
        holders = {name: writers[shard_of(name, len(writers))] for name in names}
        unknown = [name for name, holder in holders.items() if name not in holder.rows]
        if unknown:
            raise BovwError(f"{index} has no {', '.join(unknown)}: see `bovw list`")
        for name, holder in holders.items():
            holder.remove(name)
        for writer in writers:
            writer.commit()
    say(quiet, _contents(Index.open(index)))


@click.command("list")
@index_option
@click.option("--status", type=click.Choice(["ok", "skipped"]), help="Only these images.")
def list_images(index: Path, status: str | None) -> None:
    """Print the name of every image of an index, and why it was skipped if it was.

    Example: bovw list --status skipped
    """
    from bovw.index import Index
    from bovw.results.formats import printable

    for row in Index.open(index).images():
        if status in (None, row.status):
            click.echo(printable(row.name) + (f"\t{row.reason}" if row.reason else ""))


@click.command()
@index_option
@click.option("--repair", is_flag=True,
              help="Take out what is damaged; `bovw index` then reads it again.")  # fmt: skip
@quiet_option
def check(index: Path, repair: bool, quiet: bool) -> None:
    """Compare all files of an index with their checksums, and with each other.

    Example: bovw check --index bovw-index
    """
    from bovw.index.integrity import find_leftovers, find_problems, repair_index

    problems = find_problems(index)
    for problem in problems:
        click.echo(problem)
    leftovers = find_leftovers(index)
    for path in leftovers:
        say(quiet, f"{path} is of an interrupted run; the next change removes it")
    if problems and not repair:
        raise BovwError(f"{len(problems)} problems: `bovw check --repair` takes out what it can")
    if repair and (problems or leftovers):
        lost = repair_index(index)
        again = ": `bovw index` on their folder reads them again" if lost else ""
        say(quiet, f"repaired, {len(lost):,} images lost{again}")
    elif not problems:
        say(quiet, f"{index} is whole")


@click.command()
@index_option
@quiet_option
def merge(index: Path, quiet: bool) -> None:
    """Merge an index's segments, and drop what is left of removed images.

    It is done a little at every update, too.

    Example: bovw merge --index bovw-index
    """
    from bovw.index import Index
    from bovw.index.sharded import changing

    before = Index.open(index)
    with changing(index) as writers:
        for writer in writers:
            writer.compact()
            writer.commit()
    after = Index.open(index)
    say(quiet, f"{len(before.segments)} segments to {len(after.segments)}, "
               f"{before.removed:,} features of removed images dropped")  # fmt: skip


@click.command()
@click.argument("file", type=FOLDER)
@index_option
@quiet_option
def export(file: Path, index: Path, quiet: bool) -> None:
    """Write an index, its vocabulary included, into one FILE; the images are not in it.

    Example: bovw export backup.bovw --index bovw-index
    """
    from bovw.index.archive import export_index

    export_index(index, file)
    say(quiet, f"{file.stat().st_size / 1e6:,.1f} MB written to {file}")


@click.command("import")
@click.argument("file", type=FOLDER)
@index_option
@quiet_option
def import_file(file: Path, index: Path, quiet: bool) -> None:
    """Make an index of a FILE that `bovw export` wrote.

    Example: bovw import backup.bovw --index bovw-index
    """
    from bovw.index.archive import import_index

    say(quiet, _contents(import_index(file, index)))


@click.command()
@index_option
@click.option("--keep", type=click.IntRange(min=1), metavar="FEATURES",
              help="Keep only so many features of each image, first those that other images of the "
                   "same thing have.  [default: all]")  # fmt: skip
@jobs_option
@quiet_option
def link(index: Path, keep: int | None, jobs: int | None, quiet: bool) -> None:
    """Compare all indexed images with each other, once, so that queries find more.

    An image then also counts for how well its confirmed neighbours match the query. The images are
    read again. After an update, the index has to be linked again.

    Example: bovw link --index bovw-index
    """
    from bovw.index import Index
    from bovw.ingest.link import link_images

    skips = Skips()
    graph = link_images(index, jobs, progress(quiet), skips, keep)
    linked = int((graph.neighbours[:, 0] >= 0).sum())
    opened = Index.open(index)
    say(quiet, f"{linked:,} of {len(opened):,} images have neighbours")
    say(quiet or not keep, _contents(opened))
    skips.leave()


def _contents(index: Index) -> str:
    """Say what an index holds."""
    size = sum(index.bytes().values())
    return (
        f"{len(index):,} images, {index.features:,} features, {index.meta['words']:,} words, "
        f"{size / 1e6:,.1f} MB in {index.folder}"
    )


def _show_plan(
    index: Path, images: list[ImageFile], may_vanish: Callable[[ImageRow], bool], retry: bool
) -> None:
    """Print what an update would do, image by image."""
    from bovw.index import Index
    from bovw.index.sharded import read_any_meta
    from bovw.ingest.changes import plan_update
    from bovw.results.formats import printable

    rows = Index.open(index).images() if read_any_meta(index) else []
    plan = plan_update({row.name: row for row in rows}, images, may_vanish, retry)
    for what, name in plan.steps():
        click.echo(f"{what} {printable(name)}")
    say(False, plan.summary())


@click.command()
@click.argument("source", type=FOLDER, metavar="INDEX")
@click.argument("out", type=FOLDER)
@click.option("--into", type=click.IntRange(1, 10_000), required=True, metavar="N",
              help="How many parts to make.")  # fmt: skip
@quiet_option
def shard(source: Path, out: Path, into: int, quiet: bool) -> None:
    """Write an INDEX as N shards to OUT, which every command takes as it takes an index.

    Answers are the same: words weigh what they do in all shards together.

    Example: bovw shard bovw-index shards --into 4
    """
    from bovw.index.resharding import split_index

    say(quiet, _contents(split_index(source, into, out)))


COMMANDS = (
    build_vocab, make_index, add, remove, list_images, check, merge, export, import_file, link,
    shard,
)  # fmt: skip
