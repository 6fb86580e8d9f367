"""The page on a phone, in two languages, by keyboard and in the dark."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import bovw

pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install 'bovw[dev]'"
)

from playwright.sync_api import expect

from tests.web.page.browsing import PHONE, Open, draw_box, fits, pick, screenshot, settle

pytestmark = pytest.mark.browser

STATIC = Path(bovw.__file__).parent / "web" / "static"


def test_nothing_is_wider_than_a_phone(open_page: Open, query: Path) -> None:
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    expect(page.locator(".browse .card")).to_have_count(23)
    assert fits(page)
    pick(page, query)
    assert fits(page)
    screenshot(page, "phone")
    page.get_by_text("Options").click()
    assert fits(page)
    page.locator(".hit .thumb").first.click()
    expect(page.locator(".pair").first).to_be_visible()
    assert fits(page)
    page.get_by_text("Overlay").click()
    assert fits(page)
    page.get_by_text("Why?").last.click()
    expect(page.locator(".reason")).to_be_visible()
    assert fits(page)
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("link", name="Evaluation").click()
    expect(page.get_by_role("button", name="Start a run")).to_be_visible()
    assert fits(page)


def test_vietnamese_is_spoken_and_remembered(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    page.get_by_label("Language").select_option("vi")
    expect(page.locator(".verdict")).to_have_text(re.compile("ảnh khớp"))
    expect(page.locator(".evidence").first).to_contain_text(re.compile("khớp, (trên )?99%"))
    expect(page.locator("html")).to_have_attribute("lang", "vi")
    page.reload()
    expect(page.get_by_role("button", name="Khoanh một phần")).to_be_visible()
    browsers_own = open_page(locale="vi-VN")
    expect(browsers_own.get_by_role("heading", level=1)).to_contain_text("Tìm cùng một vật")


def test_languages_have_the_same_texts(open_page: Open) -> None:
    texts = open_page().evaluate("import('/static/i18n.js').then(({ TEXTS }) => TEXTS)")
    english, vietnamese = texts["en"], texts["vi"]
    assert english.keys() == vietnamese.keys()
    for key, text in english.items():
        names = [set(re.findall(r"{\w+}", json.dumps(t))) for t in (text, vietnamese[key])]
        assert names[0] == names[1], key


def test_every_text_that_is_asked_for_is_there(open_page: Open) -> None:
    texts = open_page().evaluate("import('/static/i18n.js').then(({ TEXTS }) => TEXTS)")
    scripts = [path.read_text("utf-8") for path in STATIC.glob("*.js")]
    asked = {key for script in scripts for key in re.findall(r'\bt\("([^"]+)"', script)}
    assert len(asked) > 50 and asked <= texts["en"].keys()


def test_a_keyboard_is_enough(open_page: Open) -> None:
    page = open_page()
    expect(page.locator(".browse .card")).to_have_count(23)
    page.get_by_role("link", name="bovw").focus()
    reached = set()
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"language", "pick", "contains", "thumb"} <= reached
    page.keyboard.press("Enter")
    settle(page)
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_it_is_dark_where_that_is_wanted(open_page: Open, query: Path) -> None:
    page = open_page(color_scheme="dark")
    pick(page, query)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", ground))) < 60
    draw_box(page, (0.3, 0.3, 0.8, 0.7))
    screenshot(page, "dark")
