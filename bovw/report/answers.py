"""The HTML page of search results: every hit, where the query lies in it, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bovw.geometry import corners
from bovw.records import Box, Doubles, Features, Hit
from bovw.report.album import Album, Thumbnail
from bovw.report.figure import figure, pair_figure
from bovw.report.page import page
from bovw.report.text import counted, path_shown, probability_shown, shown
from bovw.search import Searcher

# Longest side in pixels: of queries and matches, and of hits that only look similar.
LARGE, SMALL = 640, 320
HOW = (
    "A hit is a match when points in both images agree on where one lies in the other, and chance "
    "does not explain that. Chance gives a sure match in 1 of 10,000 queries. Look at the others "
    "yourself: a likely match may be wrong, and where it says look, chance does as well now and "
    "then. The box shows where the query, or the selected part of it, lies in the hit."
)


@dataclass(frozen=True)
class Asked:
    """One query and its hits.

    path    of the query image
    region  the part searched for, in pixels of the upright image
    points  float64 [n, 4] by the name of a match: x, y in the query and x, y in the hit, for each
            inlier
    """

    path: Path
    region: Box
    hits: Sequence[Hit]
    points: Mapping[str, Doubles]

    @property
    def matches(self) -> int:
        """How many hits are matches."""
        return sum(hit.confirmed for hit in self.hits)

    @property
    def unsure(self) -> int:
        """How many hits are worth a look."""
        return sum(hit.certainty == "look" for hit in self.hits)


def with_points(
    searcher: Searcher, path: Path, features: Features, region: Box, hits: Sequence[Hit]
) -> Asked:
    """Return a query and its hits, with the inliers of the matches."""
    names = searcher.index.names
    numbers = [names.find(hit.name) for hit in hits if hit.certainty != "none"]
    compared = searcher.compare(features, region, [n for n in numbers if n is not None])
    points = {names[one.found.image]: one.found.points for one in compared}
    return Asked(path, region, hits, points)


def answer_page(answers: Sequence[Asked]) -> bytes:
    """Return the HTML page that shows queries and their hits."""
    album = Album()
    sections = "".join(_section(n, asked, album) for n, asked in enumerate(answers, 1))
    several = len(answers) > 1
    title = f"{len(answers):,} queries" if several else answers[0].path.name
    contents = f"<h1>{title}</h1>\n{_contents(answers)}" if several else ""
    return page(f"Results for {title}", f"{contents}{sections}<footer>{HOW}</footer>", album)


def _contents(answers: Sequence[Asked]) -> str:
    rows = (
        f'<li><a href="#q{n}">{shown(asked.path.name)}</a> '
        f'<span class="soft">{_summary(asked)}</span></li>'
        for n, asked in enumerate(answers, 1)
    )
    return f"<nav><ol>{''.join(rows)}</ol></nav>"


def _summary(asked: Asked) -> str:
    matches = counted(asked.matches, "match") if asked.matches else "no match"
    return f"{matches}, {asked.unsure:,} to look at" if asked.unsure else matches


def _section(number: int, asked: Asked, album: Album) -> str:
    query = album.thumbnail(asked.path, LARGE)
    outline = None if asked.region == query.frame else corners(asked.region)
    hits = "\n".join(_hit(hit, asked, query, outline, album) for hit in asked.hits)
    asked_for = "the whole image" if outline is None else "the part in the box"
    return f"""<section id="q{number}">
<div class="asked">{figure(query, f"Query: {asked.path.name}", outline)}
<div><p class="soft">Images that show the same thing as</p>
<h2>{shown(asked.path.name)}</h2>
<p class="soft">searched for {asked_for}{_reason(query)}</p>
<p class="verdict">{_verdict(asked)}</p></div></div>
<ol class="hits">
{hits}
</ol>
</section>
"""


def _verdict(asked: Asked) -> str:
    if asked.matches:
        verdict = f'<span class="word yes">{counted(asked.matches, "match")}</span>'
    else:
        verdict = '<span class="word">No match</span>: the images below only look similar.'
    if asked.unsure:
        verdict += f"<br>{asked.unsure:,} {'more ' if asked.matches else ''}worth a look"
    return verdict


def _hit(hit: Hit, asked: Asked, query: Thumbnail, outline: Doubles | None, album: Album) -> str:
    thumbnail = album.thumbnail(hit.path, SMALL if hit.false_alarms is None else LARGE)
    return f"""<li class="hit">{figure(thumbnail, f"{hit.rank}: {hit.name}", hit.box)}
<div class="about"><span class="rank">{hit.rank}</span>{_evidence(hit)}
<p class="name">{path_shown(hit.name)}{_reason(thumbnail)}</p></div>
{_details(hit, asked, query, thumbnail, outline)}</li>"""


def _evidence(hit: Hit) -> str:
    if hit.false_alarms is None:
        return '<p class="soft">looks similar, no match</p>'
    figures = f"{probability_shown(hit.probability)}, {counted(hit.inliers, 'matching point')}"
    if hit.certainty == "look":
        return f'<p><span class="word few">look</span>: {figures}</p>'
    return f'<p><span class="word yes">{hit.certainty} match</span>: {figures}</p>'


def _reason(thumbnail: Thumbnail) -> str:
    return f"<br>cannot be shown: {shown(thumbnail.gone)}" if thumbnail.gone else ""


def _details(
    hit: Hit, asked: Asked, query: Thumbnail, found: Thumbnail, outline: Doubles | None
) -> str:
    points = asked.points.get(hit.name)
    if points is None or found.gone or query.gone:
        return ""
    alt = f"{asked.path.name} and {hit.name}, with lines between matching points"
    drawn = pair_figure(query, found, alt, points, (outline, hit.box))
    return f"<details><summary>Matching points</summary>{drawn}</details>"
