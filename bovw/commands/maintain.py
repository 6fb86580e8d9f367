"""The commands that look after an index, from check to shard."""

from __future__ import annotations

from pathlib import Path

import click

from bovw.commands.feedback import contents, measure_chance, progress, say
from bovw.commands.options import (
    FOLDER,
    INGEST,
    index_option,
    jobs_option,
    quiet_option,
    wait_option,
)
from bovw.commands.skips import Skips
from bovw.compute.text import one_line
from bovw.errors import BovwError
from bovw.options import IngestOptions


@click.command()
@index_option
@click.option("--repair", is_flag=True,
              help="Remove damaged parts; `bovw index` then reads the images again.")  # fmt: skip
@wait_option
@quiet_option
def check(index: Path, repair: bool, quiet: bool) -> None:
    """Compare all files of an index with their checksums, and with each other.

    Example: bovw check --index bovw-index
    """
    from bovw.index.integrity import find_leftovers, find_problems, find_strangers
    from bovw.ingest.repair import repair_index

    problems = find_problems(index)
    for problem in problems:
        click.echo(one_line(problem))
    for path in find_strangers(index):
        say(quiet, f"{path} was not written by bovw, so it stays")
    leftovers = find_leftovers(index)
    for path in leftovers:
        say(quiet, f"{path} is left from an interrupted run; the next change removes it")
    if problems and not repair:
        raise BovwError(f"{len(problems)} problems: `bovw check --repair` removes what it can")
    if repair and (problems or leftovers):
        lost = repair_index(index)
        again = ": `bovw index` on their folder reads them again" if lost else ""
        say(quiet, f"repaired, {len(lost):,} images lost{again}")
    elif not problems:
        say(quiet, f"{index} is whole")


@click.command()
@index_option
@wait_option
@quiet_option
def merge(index: Path, quiet: bool) -> None:
    """Merge an index's segments, and drop the features of removed images.

    Every update also merges a little.

    Example: bovw merge --index bovw-index
    """
    from bovw.index import Index, commit_all, edit_index

    before = Index.open(index)
    with edit_index(index) as writers:
        for writer in writers:
            writer.compact()
        commit_all(index, writers)
    after = Index.open(index)
    say(quiet, f"{len(before.segments)} segments to {len(after.segments)}, "
               f"{before.removed:,} features of removed images dropped")  # fmt: skip


@click.command()
@click.argument("file", type=FOLDER)
@index_option
@quiet_option
def export(file: Path, index: Path, quiet: bool) -> None:
    """Write an index and its vocabulary, but not the images, into one FILE.

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
    """Make an index from a FILE that `bovw export` wrote.

    Example: bovw import backup.bovw --index bovw-index
    """
    from bovw.index.archive import import_index

    say(quiet, contents(import_index(file, index)))


@click.command()
@index_option
@click.option("--keep", type=click.IntRange(min=1), metavar="FEATURES",
              help="Keep at most this many features per image, first those that match other "
                   "images of the same thing.  [default: all]")  # fmt: skip
@jobs_option
@wait_option
@quiet_option
def link(index: Path, keep: int | None, jobs: int | None, quiet: bool) -> None:
    """Compare all indexed images with each other once, so that queries find more.

    An image then also scores by how well its confirmed neighbours match the query. The images are
    read again. Link the index again after every update.

    Example: bovw link --index bovw-index
    """
    from bovw.index import Index
    from bovw.ingest.link import link_images
    from bovw.ingest.run import Run

    skips = Skips()
    graph = link_images(index, Run(jobs, progress(quiet), skips), keep)
    linked = int((graph.neighbours[:, 0] >= 0).sum())
    opened = Index.open(index)
    say(quiet, f"{linked:,} of {len(opened):,} images have neighbours")
    say(quiet or not keep, contents(opened))
    skips.leave()


@click.command()
@click.argument("index", type=FOLDER, metavar="INDEX")
@click.option("--sample", type=click.IntRange(min=1), default=INGEST.sample, show_default=True,
              help="Images to ask.")  # fmt: skip
@jobs_option
@wait_option
@quiet_option
def calibrate(index: Path, sample: int, jobs: int | None, quiet: bool) -> None:
    """Measure how often chance gives a match in INDEX, so that its answers say how sure they are.

    Mirrored images of the index are asked: whatever they match is chance. `bovw index` does it too,
    whenever the index has doubled.

    Example: bovw calibrate bovw-index --sample 500
    """
    skips = Skips()
    measure_chance(index, IngestOptions(sample=sample), jobs, quiet, skips)
    skips.leave()


@click.command()
@click.argument("source", type=FOLDER, metavar="INDEX")
@click.argument("out", type=FOLDER)
@click.option("--into", type=click.IntRange(1, 10_000), required=True, metavar="N",
              help="How many shards to make.")  # fmt: skip
@quiet_option
def shard(source: Path, out: Path, into: int, quiet: bool) -> None:
    """Write an INDEX as N shards to OUT, which every command accepts as an index.

    Answers stay the same, because word weights come from all shards together.

    Example: bovw shard bovw-index shards --into 4
    """
    from bovw.index.resharding import split_index

    say(quiet, contents(split_index(source, into, out)))


COMMANDS = (check, merge, export, import_file, link, calibrate, shard)
