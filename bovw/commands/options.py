"""Options that several commands share, with the defaults of `bovw.options`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bovw.compute.text import one_line
from bovw.options import FeatureOptions, IngestOptions, SearchOptions, VocabularyOptions

if TYPE_CHECKING:
    from bovw.records import Box

    _BoxType = click.ParamType["Box"]
else:
    _BoxType = click.ParamType  # it takes no type before click 8.4

F = TypeVar("F", bound=Callable[..., Any])
FEATURES, WORDS, SEARCH = FeatureOptions(), VocabularyOptions(), SearchOptions()
INGEST = IngestOptions()
DEFAULT_VOCAB, DEFAULT_INDEX = Path("bovw-vocab"), Path("bovw-index")


class _PathType(click.Path):
    """A path, in which `~` is the home folder: shells leave that of `--index=~/x` as it is.

    It is not checked here: the code that reads a file reports the reason.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a path."""
        # Unlike Path's, it does not mind a user that does not exist.
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111


FOLDER = _PathType(path_type=Path, readable=False)


class Region(_BoxType):
    """Four numbers: left, top, right, bottom."""

    name = "x1,y1,x2,y2"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Box:
        """Read `x1,y1,x2,y2`."""
        # Imported here because it needs NumPy, which doubles the time of `bovw --help`.
        from bovw.records import Box

        try:
            x1, y1, x2, y2 = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not x1,y1,x2,y2 in pixels, like 10,20,300,400", param, ctx)
        return Box(x1, y1, x2, y2)


class Number(click.FloatRange):
    """A number in a range; what is not a number is outside of every range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        number = float(super().convert(value, param, ctx))
        if number != number:
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def _options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def _wait(ctx: click.Context, param: click.Parameter, seconds: float) -> None:
    """Let the command wait for locks."""
    if seconds:
        from bovw.index.lock import waiting

        ctx.with_resource(waiting(seconds, lambda text: click.echo(one_line(text), err=True)))


wait_option = click.option(
    "--wait", type=Number(min=0), default=0, show_default=True, metavar="SECONDS",
    expose_value=False, callback=_wait,
    help="Wait this long for another process that is writing the index.",
)  # fmt: skip
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks.")
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes.  [default: all processors]"
)
html_option = click.option(
    "--html", type=FOLDER, metavar="FILE",
    help="Also write one HTML file with pictures, to look at or to send.",
)  # fmt: skip
cluster_option = click.option(
    "--cluster", metavar="ADDRESS",
    help="Work on a cluster: auto or ray://HOST:PORT (Ray), dask://HOST:PORT (Dask).  [default: "
         "this machine]",
)  # fmt: skip
index_option = click.option(
    "--index", type=FOLDER, default=DEFAULT_INDEX, show_default=True, envvar="BOVW_INDEX",
    help="The index's folder.",
)  # fmt: skip
rerank_option = click.option(
    "--rerank", type=click.IntRange(min=0), default=SEARCH.rerank, show_default=True,
    help="Top-ranked images to verify, 0 for none.",
)  # fmt: skip
expand_option = click.option(
    "--expand", type=click.IntRange(min=0), default=SEARCH.expand, show_default=True,
    help="Verified images to expand the query with, 0 for none.",
)  # fmt: skip
max_false_alarms_option = click.option(
    "--max-false-alarms", type=Number(0, 1, min_open=True), metavar="RATE",
    default=SEARCH.max_false_alarms, show_default=True,
    help="Confirm a hit if a query without a match has at most this many as good.",
)  # fmt: skip
scoring_option = click.option(
    "--scoring", type=click.Choice(["tfidf", "hamming", "asmk"]), default=SEARCH.scoring,
    show_default=True, help="How images are ranked before verification.",
)  # fmt: skip
training_options = _options(
    click.option("--words", type=click.IntRange(min=1), default=WORDS.words, show_default=True,
                 help="Visual words."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=WORDS.seed, show_default=True,
                 help="Seed of every random choice."),
    click.option("--max-descriptors", type=click.IntRange(min=1), default=WORDS.max_descriptors,
                 show_default=True, help="Descriptors to train on; bounds the memory."),
    click.option("--bits", type=click.Choice([64, 128]), default=WORDS.bits, show_default=True,
                 help="Bits of a feature's Hamming signature: 64 take less space and find less."),
)  # fmt: skip
feature_options = _options(
    click.option("--max-features", type=click.IntRange(1, 1_000_000), default=FEATURES.max_features,
                 show_default=True, help="Features kept per image."),
    click.option("--max-size", type=click.IntRange(16, 32_767), default=FEATURES.max_size,
                 show_default=True, help="Longest side in pixels that images are reduced to."),
    click.option("--upright", is_flag=True,
                 help="Features that do not turn with the picture: they find more if no picture is "
                      "turned, and almost nothing in turned ones."),
    click.option("--exclude", multiple=True, metavar="GLOB",
                 help="Leave out matching files, like 'thumbs/*'. May be repeated."),
)  # fmt: skip
ingest_options = _options(
    click.option("--batch", type=click.IntRange(min=1), default=INGEST.batch, show_default=True,
                 help="Images between commits; an interrupted run loses no more."),
    click.option("--time-limit", type=Number(min=0, min_open=True), default=INGEST.limit,
                 show_default=True, help="Seconds for one image; a slower one is skipped."),
    click.option("--retry", is_flag=True,
                 help="Try skipped images again, even if they have not changed."),
)  # fmt: skip
