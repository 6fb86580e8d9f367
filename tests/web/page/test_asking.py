"""The page of `bovw serve` in a browser: a photograph is given, and its scene is found."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection, transform_between

pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install 'bovw[dev]'"
)

from playwright.sync_api import Request, Route, expect

from tests.web.page.browsing import (
    HEIGHT,
    NEAR,
    VERDICT,
    WIDTH,
    Open,
    carried,
    corners_of,
    give,
    hit,
    names,
    pick,
    screenshot,
    settle,
)

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("way", ["drop", "paste", "pick"])
def test_a_photograph_is_given_and_its_scene_is_found(
    open_page: Open, collection: Collection, query: Path, way: str
) -> None:
    page = open_page()
    expect(page.locator(".browse .card")).to_have_count(23)
    screenshot(page, "start")
    if way == "pick":
        pick(page, query)
    else:
        give(page, way, query)
        settle(page)
    assert set(names(page, "confirmed")[:3]) == {view.name for view in collection.views_of(1)}
    expect(page.locator(".verdict")).to_have_text(VERDICT)
    expect(page.get_by_role("heading", level=1)).to_have_text("scene_01.jpg")


def test_boxes_lie_where_the_scene_is(open_page: Open, collection: Collection, query: Path) -> None:
    page = open_page()
    pick(page, query)
    for view in collection.views_of(1):
        H = transform_between(collection.queries[1], view)
        drawn = corners_of(hit(page, view.name).locator("polygon"))
        # Corners of the whole picture lie outside of the poster, where errors grow.
        assert np.abs(drawn - carried(H, (0, 0, WIDTH, HEIGHT))).max() < 3 * NEAR


def test_what_is_no_picture_is_refused_in_words(open_page: Open, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    page = open_page(refusals=(422,))
    with page.expect_response(re.compile("/queries$")) as answer:
        page.get_by_label("Choose a photo").set_input_files(broken)
    assert answer.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("not a readable JPEG")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Find the same thing")


def test_a_picture_that_is_too_large_is_not_sent(open_page: Open, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(51_000_000)
    page = open_page()

    def refuse(request: Request) -> None:
        if request.method == "POST":
            pytest.fail("it was sent")

    page.on("request", refuse)
    page.get_by_label("Choose a photo").set_input_files(large)
    expect(page.get_by_role("alert")).to_contain_text("large.jpg is too large")


def test_a_busy_server_is_asked_again(open_page: Open, query: Path) -> None:
    page = open_page(refusals=(503,))
    tries = iter([503, 503])

    def busy(route: Route) -> None:
        status = next(tries, None)
        if status is None:
            route.fallback()
        else:
            headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
            route.fulfill(status=status, headers=headers, body='{"detail": "busy"}')

    page.route("**/api/v1/search?*", busy)
    page.get_by_label("Choose a photo").set_input_files(query)
    expect(page.locator("#busy")).to_contain_text("busy, trying again")
    settle(page)
    expect(page.locator("#busy")).to_be_empty()
