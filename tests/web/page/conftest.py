"""A server over drawn posters whose homographies are known, and a browser of its page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bovw.demo.scenes import Collection, write_collection
from bovw.images.find import find_images
from bovw.ingest.build import build_index
from bovw.ingest.run import Recipe
from bovw.options import FeatureOptions
from bovw.search.searcher import Searcher

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

    from tests.web.page.browsing import Open

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def server(
    collection: Collection,
    searcher: Searcher,
    feature_options: FeatureOptions,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of a server over the drawn collection and one image with a hostile name."""
    from tests.web.page.browsing import HOSTILE

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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Imported here: what imports Playwright is skipped where it is missing.
    from playwright.sync_api import sync_playwright

    from tests.web.page.browsing import CHROMIUM

    with sync_playwright() as p:
        launched = p.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser, server: str) -> Iterator[Open]:
    """Opens a page in a context of its own; in the end nothing may have gone wrong in any.

    `refusals` are the server's that a test asks for: a browser writes each to its console.
    """
    from tests.web.page.browsing import WIDE

    wrong: list[str] = []
    contexts = []

    def opened(address: str = "", refusals: tuple[int, ...] = (), **options: Any) -> Page:
        usual: dict[str, Any] = {"viewport": WIDE, "locale": "en-GB"}
        context = browser.new_context(**usual | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: noted(message, refusals))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", dismissed)
        page.goto(server + address)
        return page

    def dismissed(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

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
