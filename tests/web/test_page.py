"""The page of `bovw serve` in a browser, over drawn posters whose homographies are known.

BOVW_SCREENSHOTS names a folder in which to leave screenshots.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import pytest
from PIL import Image

from bovw.demo.scenes import Collection, transform_between, write_collection
from bovw.images.find import find_images
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe
from bovw.options import FeatureOptions
from bovw.search.searcher import Searcher

pytest.importorskip("fastapi", reason="the server is not installed: pip install 'bovw[web]'")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install 'bovw[dev]'"
)
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect  # noqa: E402

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip(f"no Chromium on this machine: one of {NAMES}", allow_module_level=True)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<script>alert(1)</script>.jpg"
WIDTH, HEIGHT = 640, 480
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
VERDICT = re.compile(
    r"^\d+ matches\."
    r"( (1 more is uncertain: check it|\d+ more are uncertain: check them) yourself\.)?$"
)
# Farther apart, in pixels, two boxes are not the same.
NEAR = 8.0


@pytest.fixture(scope="module")
def server(
    collection: Collection,
    searcher: Searcher,
    feature_options: FeatureOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of a server over the drawn collection and one image with a hostile name."""
    root = tmp_path_factory.mktemp("page")
    photos, truth = root / "photos", root / "photos" / "truth.json"
    shutil.copytree(collection.root, photos)
    other = write_collection(root / "other", scenes=1, views=0, distractors=0, seed=77)
    (photos / "db" / HOSTILE).parent.mkdir()
    shutil.copy(other.root / other.queries[0].name, photos / "db" / HOSTILE)
    labels = json.loads(truth.read_text())
    truth.write_text(json.dumps({**labels, "db": [*labels["db"], HOSTILE]}))
    build_index(
        find_images([photos / "db"]),
        root / "index",
        Recipe(searcher.vocabulary, features=feature_options),
    )
    command = f"""-m bovw serve --index {root}/index --port 0 --cache {root}/cache
                  --eval {truth} --images {photos}"""
    process = subprocess.Popen(
        [sys.executable, *command.split()], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    with process, process.stderr:
        told = process.stderr.readline()
        found = re.search(r"http://\S+/", told)
        assert found, told + process.stderr.read()
        yield found[0]
        process.terminate()
        process.stderr.read()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as p:
        launched = p.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield launched
        launched.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, server: str) -> Iterator[Open]:
    """Opens a page in a context of its own; in the end nothing may have gone wrong in any.

    `refusals` are the server's that a test asks for: a browser writes each to its console.
    """
    wrong: list[str] = []
    contexts = []

    def opened(address: str = "", refusals: tuple[int, ...] = (), **options: object) -> Page:
        context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: noted(message, refusals))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto(server + address)
        return page

    def noted(message: ConsoleMessage, refusals: tuple[int, ...]) -> None:
        wanted = any(f"responded with a status of {status}" in message.text for status in refusals)
        if message.type in ("error", "warning") and not wanted:
            wrong.append(message.text)

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def query(collection: Collection) -> Path:
    """The query of scene 1, which asks for the whole picture."""
    return collection.root / collection.queries[1].name


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


def carried(homography: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    x1, y1, x2, y2 = box
    corners = np.array([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]], float)
    return cv2.perspectiveTransform(corners, homography)[0]


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


# Giving a photograph


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
    page.on("request", lambda request: request.method == "POST" and pytest.fail("it was sent"))
    page.get_by_label("Choose a photo").set_input_files(large)
    expect(page.get_by_role("alert")).to_contain_text("large.jpg is too large")


def test_a_busy_server_is_asked_again(open_page: Open, query: Path) -> None:
    page = open_page(refusals=(503,))
    tries = iter([503, 503])

    def busy(route) -> None:  # type: ignore[no-untyped-def]
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


# The box


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
    assert np.abs(drawn - carried(H, tuple(region))).max() < NEAR
    screenshot(page, "results")


def points(card: Locator) -> int:
    found = re.match(r"([\d,]+) matching points?", card.locator(".evidence").inner_text())
    assert found
    return int(found[1].replace(",", ""))


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
    expect(dialog.get_by_label("Overlay")).to_be_disabled()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


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
    ids = [text.strip() for text in queries.locator("th").all_inner_texts()]
    assert ids == sorted(ids)
    other = open_page(page.url.rpartition("/")[2])
    expect(other.locator(".curve polyline")).to_have_count(2)
    expect(other.get_by_role("columnheader", name="Query")).to_have_attribute(
        "aria-sort", "ascending"
    )


# Every user


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
    page.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("link", name="Evaluation").click()
    expect(page.get_by_role("button", name="Start a run")).to_be_visible()
    assert fits(page)


def test_vietnamese_is_spoken_and_remembered(open_page: Open, query: Path) -> None:
    page = open_page()
    pick(page, query)
    page.get_by_label("Language").select_option("vi")
    expect(page.locator(".verdict")).to_have_text(re.compile("ảnh khớp"))
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
