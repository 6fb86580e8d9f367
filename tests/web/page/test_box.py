"""The box on the page: drawn, moved and resized, with a mouse, keys and a finger."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bovw.demo.scenes import Collection, transform_between

pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install 'bovw[dev]'"
)

from playwright.sync_api import expect

from tests.web.page.browsing import (
    NEAR,
    PHONE,
    Open,
    asked,
    carried,
    corners_of,
    draw_box,
    hit,
    pick,
    points,
    screenshot,
    settle,
)

pytestmark = pytest.mark.browser


def test_a_box_is_drawn_and_searched_for(
    open_page: Open, collection: Collection, query: Path
) -> None:
    page = open_page()
    pick(page, query)
    view = collection.views_of(1)[0]
    before = points(hit(page, view.name))
    draw_box(page, (0.25, 0.25, 0.75, 0.75))
    region = [float(value) for value in asked(page)["region"].split(",")]
    assert np.allclose(region, (160, 120, 480, 360), atol=3)
    assert 0 < points(hit(page, view.name)) < before
    H = transform_between(collection.queries[1], view)
    drawn = corners_of(hit(page, view.name).locator("polygon"))
    assert np.abs(drawn - carried(H, region)).max() < NEAR
    screenshot(page, "results")


def test_a_box_is_moved_resized_and_removed_by_keys(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    page.get_by_role("button", name="Select a part").press("Enter")
    expect(page).to_have_url(re.compile("region=160,120,480,360"))
    box = page.get_by_label("Selected part")
    expect(box).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("region=173,133,493,373"))
    page.keyboard.press("Shift+ArrowLeft")
    expect(page).to_have_url(re.compile("region=173,133,480,373"))
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("region=0,133,307,373"))
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("region="))
    expect(box).to_be_hidden()
    settle(page)


def test_a_box_is_moved_and_resized_by_hand(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    draw_box(page, (0.25, 0.25, 0.5, 0.5))
    handle = page.locator(".handle.se").bounding_box()
    place = page.locator(".region").bounding_box()
    assert handle and place
    page.mouse.move(handle["x"] + 7, handle["y"] + 7)
    page.mouse.down()
    page.mouse.move(place["x"] + 0.75 * place["width"], place["y"] + 0.75 * place["height"])
    page.mouse.up()
    expect(page).to_have_url(re.compile("region=1(59|60|61),1(19|20|21),4(79|80|81),3(59|60|61)"))
    page.mouse.move(place["x"] + 0.5 * place["width"], place["y"] + 0.5 * place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + 0.6 * place["width"], place["y"] + 0.5 * place["height"])
    page.mouse.up()
    expect(page).to_have_url(re.compile("region=22[345],1(19|20|21),54[345],3(59|60|61)"))
    page.get_by_role("button", name="Whole image").click()
    expect(page).not_to_have_url(re.compile("region="))


def test_a_finger_moves_the_box(open_page: Open, query: Path) -> None:
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    pick(page, query)
    page.get_by_role("button", name="Select a part").tap()
    settle(page)
    page.locator(".region-box").evaluate(
        """(box) => {
            const { x, y, width } = box.parentElement.getBoundingClientRect();
            const at = (type, dx) => box.dispatchEvent(new PointerEvent(type, {
                pointerId: 1, pointerType: "touch", bubbles: true,
                clientX: x + width / 2 + dx, clientY: y + width / 3,
            }));
            box.parentElement.setPointerCapture = () => {};
            at("pointerdown", 0);
            at("pointermove", width / 8);
            at("pointerup", width / 8);
        }"""
    )
    expect(page).to_have_url(re.compile("region=240,120,560,360"))
