"""What a person does on the page, and what is seen there.

BOVW_SCREENSHOTS names a folder in which to leave screenshots.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest
from PIL import Image

from bovw.records import Doubles

pytest.importorskip("fastapi", reason="the server is not installed: pip install 'bovw[web]'")
pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install 'bovw[dev]'"
)
from playwright.sync_api import Locator, Page, expect

# As long as an action waits: a busy machine takes more than the usual five seconds for a search.
expect.set_options(timeout=20_000)

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip(f"no Chromium on this machine: one of {NAMES}", allow_module_level=True)

HOSTILE = "<script>alert(1)</script>.jpg"

WIDTH, HEIGHT = 640, 480

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

VERDICT = re.compile(r"^\d+ matches\.( (1 image is worth a look|\d+ images are worth a look)\.)?$")

# Farther apart, in pixels, two boxes are not the same.
NEAR = 8.0

Open = Callable[..., Page]


def screenshot(page: Page, name: str) -> None:
    folder = os.environ.get("BOVW_SCREENSHOTS")
    if not folder:
        return
    page.wait_for_timeout(600)
    with Image.open(io.BytesIO(page.screenshot())) as taken:
        # Small enough for a repository: what is drawn is full of grain.
        taken.thumbnail((960, 960))
        taken.convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE).save(
            Path(folder, f"page-{name}.png"), optimize=True
        )


def give(page: Page, event: str, path: Path) -> None:
    """Drop a file on the page, or paste it."""
    page.evaluate(
        """([event, name, encoded]) => {
            const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            document.body.dispatchEvent(event === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        [event, path.name, base64.b64encode(path.read_bytes()).decode()],
    )


def pick(page: Page, path: Path) -> None:
    page.get_by_label("Choose a photo").set_input_files(path)
    settle(page)


def settle(page: Page) -> None:
    """Wait for the results that the page is about to show."""
    expect(page).to_have_url(re.compile("query=|image="))
    expect(page.locator(".findings")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".hit").first).to_be_visible()


def hit(page: Page, name: str) -> Locator:
    return page.locator(".hit", has=page.get_by_text(name, exact=True))


def names(page: Page, group: str) -> list[str]:
    return page.locator(f".group.{group} .name").all_inner_texts()


def asked(page: Page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def corners_of(polygon: Locator) -> np.ndarray:
    points = polygon.first.get_attribute("points") or ""
    return np.array([pair.split(",") for pair in points.split()], float)


def carried(homography: Doubles, box: Sequence[float]) -> Doubles:
    x1, y1, x2, y2 = box
    corners = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], float)
    return np.asarray(cv2.perspectiveTransform(corners, homography)[0], np.float64)


def draw_box(page: Page, box: tuple[float, float, float, float]) -> None:
    """Draw a box, in shares of the picture, with the mouse."""
    place = page.locator(".region").bounding_box()
    assert place
    x1, x2 = (place["x"] + share * place["width"] for share in box[::2])
    y1, y2 = (place["y"] + share * place["height"] for share in box[1::2])
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move((x1 + x2) / 2, y2, steps=3)
    page.mouse.move(x2, y2)
    page.mouse.up()
    expect(page).to_have_url(re.compile("region="))
    settle(page)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def points(card: Locator) -> int:
    found = re.search(r"([\d,]+) matching points?", card.locator(".evidence").inner_text())
    assert found
    return int(found[1].replace(",", ""))
