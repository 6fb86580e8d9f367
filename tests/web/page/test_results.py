"""Results on the page: searched again, compared, shared, browsed and evaluated."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection, transform_between, write_collection

pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install 'bovw[dev]'"
)

from playwright.sync_api import Route, expect

from tests.web.page.browsing import (
    HEIGHT,
    HOSTILE,
    NEAR,
    WIDTH,
    Open,
    carried,
    draw_box,
    hit,
    names,
    pick,
    points,
    screenshot,
    settle,
)

pytestmark = pytest.mark.browser


# Searching again, comparing, going back


def test_a_hit_is_searched_with_and_back_returns(
    open_page: Open, collection: Collection, query: Path
) -> None:
    page = open_page()
    pick(page, query)
    first, view = page.url, collection.views_of(1)[0].name
    found = names(page, "confirmed")
    page.get_by_role("button", name=f"Search with this: {view}").click()
    expect(page).to_have_url(re.compile("image="))
    expect(page.get_by_role("heading", level=1)).to_have_text(view)
    settle(page)
    expect(hit(page, view)).to_contain_text("the query itself")
    expect(page.locator(".verdict")).to_have_text(re.compile("other matches"))
    page.go_back()
    expect(page).to_have_url(first)
    expect(page.get_by_role("heading", level=1)).to_have_text("scene_01.jpg")
    settle(page)
    assert names(page, "confirmed") == found
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_have_text(view)


def test_a_comparison_draws_every_inlier(
    open_page: Open, collection: Collection, query: Path
) -> None:
    page = open_page()
    pick(page, query)
    card = hit(page, collection.views_of(1)[0].name)
    expected = points(card)
    card.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog", name="Comparison")
    expect(dialog.locator(".pair")).to_have_count(expected)
    expect(dialog).to_contain_text(f"{expected} matching points")
    screenshot(page, "compare")
    dot = dialog.locator(".pair path").first.bounding_box()
    assert dot
    page.mouse.move(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    expect(dialog.locator(".pair.lit")).to_have_count(1)
    dialog.get_by_label("Points only").check()
    expect(dialog.locator(".pair:not(.lit) line").first).to_be_hidden()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).not_to_have_url(re.compile("hit="))
    expect(card.get_by_role("button", name="Compare")).to_be_focused()


def test_the_query_is_laid_over_the_hit(
    open_page: Open, collection: Collection, query: Path
) -> None:
    page = open_page()
    pick(page, query)
    view = collection.views_of(1)[0]
    page.get_by_role("button", name=f"Compare: {view.name}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Overlay").click()
    slider = dialog.get_by_role("slider")
    curtain = dialog.locator(".curtain")
    expect(curtain).to_have_css("opacity", "0.5")
    slider.fill("80")
    expect(curtain).to_have_css("opacity", "0.8")
    dialog.get_by_text("Curtain").click()
    expect(curtain).to_have_css("opacity", "1")
    expect(curtain).to_have_css("clip-path", re.compile(r"inset\(0px 20% 0px 0px\)"))
    slider.fill("50")
    screenshot(page, "overlay")
    slider.press("Home")
    expect(curtain).to_have_css("clip-path", re.compile(r"inset\(0px 100% 0px 0px\)"))
    # Where the browser really puts the query's corners, in pixels of the hit.
    shown = np.array(
        dialog.locator(".warped").evaluate(
            """(picture) => {
                const matrix = new DOMMatrix(getComputedStyle(picture).transform);
                const [w, h] = [picture.offsetWidth, picture.offsetHeight];
                const scale = picture.closest(".overlay-stage").clientWidth / 640;
                return [[0, 0], [w, 0], [w, h], [0, h]].map(([x, y]) => {
                    const p = matrix.transformPoint(new DOMPoint(x, y));
                    return [p.x / p.w / scale, p.y / p.w / scale];
                });
            }"""
        )
    )
    H = transform_between(collection.queries[1], view)
    assert np.abs(shown - carried(H, (0, 0, WIDTH, HEIGHT))).max() < 3 * NEAR


def test_what_is_not_confirmed_is_compared_without_lines(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    page.locator(".group.alike .hit").first.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("looks similar, no match")
    expect(dialog.locator(".pair")).to_have_count(0)
    expect(dialog.get_by_label("Overlay")).to_be_disabled()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_a_hit_says_how_sure_it_is(open_page: Open, collection: Collection, query: Path) -> None:
    page = open_page()
    pick(page, query)
    for view in collection.views_of(1):
        card = hit(page, view.name).locator(".evidence")
        expect(card).to_have_text(re.compile(r"^sure match, (over )?99%\s*\d+ matching points$"))
        tooltip = card.locator("span").first.get_attribute("title") or ""
        assert re.fullmatch(r"Chance gives as much in 1 of [\d,]+ queries\.", tooltip)
    expect(page.locator(".group.alike .evidence").first).to_have_text("looks similar, no match")


def test_the_page_asks_for_a_look_at_what_chance_may_give(open_page: Open, query: Path) -> None:
    page = open_page()

    def doubted(route: Route) -> None:
        """Answer as the server does, but sure of nothing."""
        response = route.fetch()
        answer = response.json()
        first, second, *rest = answer["hits"]
        first |= {"certainty": "likely", "probability": 0.87, "false_alarms": 1 / 790}
        second |= {"certainty": "look", "probability": 0.12, "false_alarms": 1 / 7.9}
        for other in rest:
            other |= {"certainty": "none", "probability": 0, "false_alarms": None}
            other |= {"transform": None, "box": None, "inliers": 0}
        route.fulfill(response=response, json=answer)

    page.route("**/api/v1/search?*", doubted)
    pick(page, query)
    expect(page.locator(".verdict")).to_have_text("1 match. 1 image is worth a look.")
    expect(page.locator(".group h2")).to_have_text(
        ["Matches", "Worth a look", "Looks similar, no match"]
    )
    expect(page.locator(".group.confirmed .evidence")).to_contain_text("likely match, 87%")
    look = page.locator(".group.look .evidence")
    expect(look).to_contain_text("look: 12%")
    expect(look.get_by_title("Chance gives as much in 1 of 8 queries.").first).to_be_visible()


def test_a_picture_of_something_else_has_no_match(open_page: Open, tmp_path: Path) -> None:
    other = write_collection(tmp_path, scenes=1, views=0, distractors=0, seed=4711)
    page = open_page()
    pick(page, other.root / other.queries[0].name)
    expect(page.locator(".verdict")).to_contain_text(
        "No match. Nothing here agrees with it more than chance may."
    )
    expect(page.locator(".group.confirmed")).to_have_count(0)


def test_a_match_is_explained(open_page: Open, collection: Collection, query: Path) -> None:
    page = open_page()
    pick(page, query)
    card = hit(page, collection.views_of(1)[0].name)
    inliers = points(card)
    card.get_by_role("button", name="Why?").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".reason")).to_have_text(
        re.compile(r"^A match: \d+ places agree, as many as chance gives in 1 of [\d,]+ queries\.$")
    )
    figures = dict(
        zip(*(dialog.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True)
    )
    assert figures["Matching points"] == str(inliers)
    assert re.fullmatch(r"\d+ of 23", figures["Rank before the geometric check"])
    assert int(figures["Places needed for a match"]) <= int(figures["In different places"])
    expect(dialog.locator(".pair")).to_have_count(inliers)
    other = open_page(page.url.rpartition("/")[2])
    expect(other.locator(".reason")).to_have_text(dialog.locator(".reason").inner_text())
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.locator(".names")).not_to_contain_text(collection.views_of(1)[0].name)
    expect(dialog.locator(".reason")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).not_to_have_url(re.compile("hit=|why="))


def test_what_is_no_match_is_explained_too(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    card = page.locator(".group.alike .hit").first
    card.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".reason")).to_have_count(0)
    dialog.get_by_text("Why?").click()
    expect(page).to_have_url(re.compile("why=1"))
    expect(dialog.locator(".reason")).to_have_text(re.compile(r"^No match: .*\.$"))
    figures = dict(
        zip(*(dialog.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True)
    )
    # What agrees is drawn, although it proves nothing.
    expect(dialog.locator(".pair")).to_have_count(int(figures["Matching points"]))
    screenshot(page, "why")
    dialog.get_by_text("Why?").click()
    expect(page).not_to_have_url(re.compile("why="))
    expect(dialog.locator(".reason")).to_be_hidden()


def test_fewer_false_alarms_are_asked_for(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    page.get_by_text("Options").click()
    field = page.get_by_label("False alarms allowed")
    expect(field).to_have_value("0.01")
    with page.expect_request(re.compile("/search\\?.*max_false_alarms=0.001")):
        field.select_option("1 of 1,000 queries")
    expect(page).to_have_url(re.compile("max_false_alarms=0.001"))
    settle(page)
    field.select_option("0.01")
    expect(page).not_to_have_url(re.compile("max_false_alarms"))


def test_an_address_is_shared(open_page: Open, collection: Collection, query: Path) -> None:
    page = open_page()
    pick(page, query)
    draw_box(page, (0.2, 0.2, 0.8, 0.8))
    page.get_by_text("Options").click()
    page.get_by_label("Scoring").select_option("asmk")
    expect(page).to_have_url(re.compile("scoring=asmk"))
    settle(page)
    page.get_by_role("button", name=f"Compare: {collection.views_of(1)[1].name}").click()
    lines = page.locator(".pair")
    expect(lines.first).to_be_visible()
    other = open_page(page.url.rpartition("/")[2])
    expect(other.get_by_role("dialog")).to_be_visible()
    expect(other.locator(".pair")).to_have_count(lines.count())
    other.keyboard.press("Escape")
    expect(other.get_by_role("dialog")).to_be_hidden()
    assert names(other, "confirmed") == names(page, "confirmed")
    assert names(other, "alike") == names(page, "alike")
    assert other.locator(".region-box").get_attribute("style") == page.locator(
        ".region-box"
    ).get_attribute("style")
    expect(other.get_by_label("Scoring")).to_have_value("asmk")


def test_a_picture_that_is_no_longer_kept_is_asked_for_again(open_page: Open) -> None:
    page = open_page(f"?query={'0' * 64}", refusals=(404,))
    expect(
        page.get_by_text("This photo is no longer on the server. Upload it again.")
    ).to_be_visible()
    page.get_by_role("button", name="New search").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Find the same thing")


# Browsing


def test_images_are_browsed_and_searched_with(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Search by name").fill("scene_03")
    expect(page.locator(".browse .card")).to_have_count(3)
    expect(page).to_have_url(re.compile("contains=scene_03"))
    page.get_by_role("button", name="scene_03/view_1.jpg").click()
    settle(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("scene_03/view_1.jpg")
    page.go_back()
    expect(page.get_by_label("Search by name")).to_have_value("scene_03")
    expect(page.locator(".browse .card")).to_have_count(3)


def test_a_hostile_name_is_shown_and_not_run(open_page: Open) -> None:
    page = open_page("?contains=script")
    expect(page.locator(".browse .name")).to_have_text([HOSTILE])
    page.locator(".browse .card button").click()
    settle(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator(".hit .name").first).to_have_text(HOSTILE)
    page.locator(".hit button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    assert page.locator("script").count() == 1


# Evaluation


def test_two_runs_are_compared(open_page: Open, collection: Collection) -> None:
    page = open_page()
    page.get_by_role("link", name="Evaluation").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Evaluation")
    for scoring, rerank in (("tfidf", "0"), ("hamming", "100")):
        page.get_by_label("Scoring").select_option(scoring)
        page.get_by_label("Images checked").fill(rerank)
        page.get_by_label("Images added to the query").fill("0")
        page.get_by_role("button", name="Start a run").click()
        run = page.get_by_role("row", name=f"{scoring}, {rerank} checked")
        expect(run.locator(".figure")).to_have_count(3, timeout=60_000)
    expect(page.locator(".figures strong").first).to_have_text("1.000")
    queries = page.locator(".queries tbody tr")
    expect(queries).to_have_count(len(collection.queries))
    page.get_by_role("button", name="Compare: tfidf, 0 checked").click()
    expect(page.get_by_text(re.compile("A compared with B: .* better"))).to_be_visible()
    differences = page.locator("td.difference").all_inner_texts()
    values = [float(text.replace("\N{MINUS SIGN}", "-")) for text in differences]
    assert values == sorted(values, reverse=True)
    page.get_by_role("button", name="scene_00", exact=True).click()
    expect(page.locator(".curve polyline")).to_have_count(2)
    path = page.locator(".curve polyline").first.get_attribute("points") or ""
    assert len(path.split()) >= 3
    for ranking in page.locator(".ranking").all():
        labels = ranking.locator(".label").all_inner_texts()
        assert labels.count("ok") == 3 and set(labels) == {"ok", "wrong"}
    page.locator("#runs-title").evaluate("(title) => title.scrollIntoView()")
    screenshot(page, "evaluation")
    page.get_by_role("button", name="Query", exact=True).click()
    by_query = page.get_by_role("columnheader", name="Query")
    expect(by_query).to_have_attribute("aria-sort", "ascending")
    ids = [text.strip() for text in queries.locator("th").all_inner_texts()]
    assert ids == sorted(ids)
    other = open_page(page.url.rpartition("/")[2])
    expect(other.locator(".curve polyline")).to_have_count(2)
    expect(other.get_by_role("columnheader", name="Query")).to_have_attribute(
        "aria-sort", "ascending"
    )
