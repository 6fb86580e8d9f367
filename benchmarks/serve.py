"""Times `bovw serve`: HTTP's overhead, a large photograph in a browser, and many clients at once.

    python benchmarks/serve.py INDEX IMG... [--clients 16] [--seconds 60]

http      searches for each image by POST /search and in this process, in turns: medians over the
          rounds, and the median of the differences
browser   drops a photograph of 12 megapixels (an enlarged image, a new one each time) on the page,
          and waits for the first hit on the screen; needs Chromium and Playwright
clients   that many clients search for that many seconds: errors, times, and the server's memory
          (all its processes) after a quarter of the time and at the end
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from machine import write_result

from bovw.index import Index
from bovw.search.searcher import Searcher

ROUNDS, DROPS = 5, 5
LARGE = (4000, 3000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("index", type=Path, metavar="INDEX")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMG")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with serving(arguments.index) as (port, process):
        results = {
            "http": compare(arguments.index, arguments.images, port),
            "browser": drop(arguments.images, port),
            "clients": press(arguments, port, process.pid),
        }
    print(json.dumps(results, indent=1))
    write_result("serve", {"images": len(Index.open(arguments.index)), **results})


@contextmanager
def serving(index: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Start a server with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        line = [sys.executable, "-m", "bovw", "serve", "--index", str(index), "--port", "0"]
        process = subprocess.Popen(
            [*line, "--cache", cache], stderr=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            assert process.stderr
            said = process.stderr.readline()
            yield int(re.findall(r":(\d+)/", said)[0]), process
        finally:
            process.terminate()
            process.wait()


def post(connection: http.client.HTTPConnection, content: bytes) -> tuple[int, dict[str, Any]]:
    connection.request("POST", "/api/v1/search", content)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def changed(content: bytes, number: int) -> bytes:
    """Return the same JPEG with other bytes, so that no cache knows it."""
    return content + b"%d" % number


def compare(index: Path, images: list[Path], port: int) -> dict[str, float]:
    searcher = Searcher(Index.open(index))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    numbers = count()
    own, served, differences = [], [], []
    for image in images:  # warm up both
        searcher.search(image)
        post(connection, changed(image.read_bytes(), next(numbers)))
    for _ in range(ROUNDS):
        for image in images:
            content = changed(image.read_bytes(), next(numbers))
            start = time.perf_counter()
            searcher.search(image)
            middle = time.perf_counter()
            status, _ = post(connection, content)
            end = time.perf_counter()
            assert status == 200
            own.append(middle - start)
            served.append(end - middle)
            differences.append(served[-1] - own[-1])
    return {
        "in_process_ms": 1e3 * median(own),
        "served_ms": 1e3 * median(served),
        "difference_ms": 1e3 * median(differences),
    }


def drop(images: list[Path], port: int) -> dict[str, Any] | None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return None
    if not program:
        return None
    seconds = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        for number, image in zip(range(DROPS + 1), images * DROPS, strict=False):
            large = Path(folder, f"{number}.jpg")
            cv2.imwrite(str(large), cv2.resize(cv2.imread(str(image)), LARGE))
            page.goto(f"http://127.0.0.1:{port}/")
            chooser = page.locator("input[type=file]").first
            chooser.wait_for(state="attached")
            start = time.perf_counter()
            chooser.set_input_files(large)
            page.locator(".hit").first.wait_for()
            seconds.append(time.perf_counter() - start)
        browser.close()
    # The first one includes the start of the browser.
    return {
        "megapixels": LARGE[0] * LARGE[1] / 1e6,
        "seconds": seconds[1:],
        "median": median(seconds[1:]),
    }


def press(arguments: argparse.Namespace, port: int, process: int) -> dict[str, Any]:
    contents = [image.read_bytes() for image in arguments.images]
    numbers, end = count(1_000_000), time.monotonic() + arguments.seconds
    times: list[float] = []
    statuses: list[int] = []

    def ask(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.monotonic() < end:
            number = next(numbers)
            start = time.perf_counter()
            status, _ = post(connection, changed(contents[number % len(contents)], number))
            times.append(time.perf_counter() - start)
            statuses.append(status)

    threads = [threading.Thread(target=ask, args=[client]) for client in range(arguments.clients)]
    for thread in threads:
        thread.start()
    time.sleep(arguments.seconds / 4)
    early = resident(process)
    for thread in threads:
        thread.join()
    return {
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "searches": len(times),
        "errors": sum(status != 200 for status in statuses),
        "p50_s": float(np.quantile(times, 0.5)),
        "p95_s": float(np.quantile(times, 0.95)),
        "memory_early_mb": early / 1e6,
        "memory_late_mb": resident(process) / 1e6,
    }


def resident(process: int) -> int:
    """Return the private memory of a process and its children in bytes (Linux)."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    status = Path(f"/proc/{process}/status").read_text()
    own = 1024 * int(re.findall(r"RssAnon:\s+(\d+)", status)[0])
    return own + sum(resident(int(child)) for child in children)


if __name__ == "__main__":
    main()
