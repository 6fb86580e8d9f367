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
from bovw.report.text import counted, path_shown, shown
from bovw.search import Searcher
from bovw.verification import STRONG, certainty

# Longest side in pixels: of queries and matches, and of hits that only look similar.
LARGE, SMALL = 640, 320
HOW = (
    "A hit is a match when points in both images agree on where one lies in the other. These are "
    f"the matching points, or inliers. With {STRONG} or more, a match is nearly always right; with "
    "fewer it is uncertain: check it yourself. The box shows where the query, or the selected "
    "part of it, lies in the hit."
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
    def sure(self) -> int:
        """How many matches are certain."""
        return sum(certainty(hit.inliers, hit.verified) == "strong" for hit in self.hits)

    @property
    def unsure(self) -> int:
        """How many matches are uncertain."""
        return sum(hit.verified for hit in self.hits) - self.sure


def with_points(
    searcher: Searcher, path: Path, features: Features, region: Box, hits: Sequence[Hit]
) -> Asked:
    """Return a query and its hits, with the inliers of the matches."""
    names = searcher.index.names
    numbers = [names.find(hit.name) for hit in hits if hit.verified]
    compared = searcher.compare(features, region, [n for n in numbers if n is not None])
    return Asked(path, region, hits, {names[found.image]: found.points for found in compared})


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
    unsure = f"{asked.unsure:,} uncertain" if asked.unsure else ""
    sure = counted(asked.sure, "match") if asked.sure else ""
    return ", ".join(filter(None, (sure, unsure))) or "no match"


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
    if not asked.sure and not asked.unsure:
        return '<span class="word">No match</span>: the images below only look similar.'
    lines = []
    if asked.sure:
        lines.append(f'<span class="word yes">{counted(asked.sure, "match")}</span>')
    if asked.unsure:
        one = asked.unsure == 1
        many = f"{asked.unsure:,} more {'is' if one else 'are'}"
        if not asked.sure:
            many = f"{counted(asked.unsure, 'match')}, {'but' if one else 'all'}"
        lines.append(f"{many} uncertain: check {'it' if one else 'them'} yourself")
    return "<br>".join(lines)


def _hit(hit: Hit, asked: Asked, query: Thumbnail, outline: Doubles | None, album: Album) -> str:
    thumbnail = album.thumbnail(hit.path, LARGE if hit.verified else SMALL)
    return f"""<li class="hit">{figure(thumbnail, f"{hit.rank}: {hit.name}", hit.box)}
<div class="about"><span class="rank">{hit.rank}</span>{_evidence(hit)}
<p class="name">{path_shown(hit.name)}{_reason(thumbnail)}</p></div>
{_details(hit, asked, query, thumbnail, outline)}</li>"""


def _evidence(hit: Hit) -> str:
    if not hit.verified:
        return '<p class="soft">looks similar, no match</p>'
    inliers = counted(hit.inliers, "matching point")
    if certainty(hit.inliers, hit.verified) == "strong":
        return f'<p class="word yes">match: {inliers}</p>'
    return f'<p><span class="word few">uncertain: {inliers}</span>, check it yourself</p>'


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
