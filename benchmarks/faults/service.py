"""`bovw serve` while clients keep it waiting, and while its processes and its index are lost."""

from __future__ import annotations

import http.client
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from socket import create_connection, socket

import numpy as np
from PIL import Image

from bovw.index import Index
from faults.bench import SMALL, Bench
from faults.commands import BOVW, bovw
from faults.counts import Counts

FILES, UPLOADS, HALVES, ABORTED, ROUNDS, SIDE = 128, 34, 140, 50, 10, 8000
SECONDS = 45.0
POST = b"POST /api/v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n\r\n"


@dataclass(frozen=True)
class Service:
    """A running server: its process, its port and its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        """Ask on a new connection; return the status, 0 if there is no answer, and the text."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request(method, f"/api/v1/{path}", body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""

    def send(self, content: bytes) -> socket:
        """Open a connection, send a few bytes, and leave it open."""
        connection = create_connection(("127.0.0.1", self.port), timeout=60)
        with suppress(OSError):
            connection.sendall(content)
        return connection

    def children(self) -> list[int]:
        """Return the processes that decode."""
        place = Path(f"/proc/{self.process.pid}/task")
        found = [
            int(n) for task in place.iterdir() for n in (task / "children").read_text().split()
        ]
        return [n for n in found if b"tracker" not in Path(f"/proc/{n}/cmdline").read_bytes()]


def try_service(bench: Bench) -> Counts:
    """Take a server through each attack and loss; count who is kept out, and what ends."""
    photos, index = bench.folder("served/photos"), bench.scratch / "served" / "index"
    for sha in list(bench.photos)[:24]:
        bench.copy(sha, photos / f"{sha[:8]}.jpg")
    build = ["index", photos, "--index", index, "--vocab", bench.vocab, *SMALL, "-q"]
    bovw(*build).check_returncode()
    contents = [path.read_bytes() for path in bench.photos.values()]
    return {
        "idle uploads": idle_uploads(bench, index, contents),
        "half-sent requests": half_sent(bench, index),
        "aborted uploads": aborted(bench, index),
        "killed processes": killed(bench, index, contents),
        "indexes built anew": built_anew(bench, index, photos, build),
        "large pictures": large(bench, index),
    }


@contextmanager
def serving(bench: Bench, index: Path, files: int = 1024) -> Iterator[Service]:
    """Start a server that may open so many files; end it."""
    log = bench.folder("log") / "log"
    command = [*BOVW, "serve", "--index", str(index), "--port", "0", "--cache", str(log.parent)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with (
        log.open("wb") as out,
        subprocess.Popen(command, stderr=out, preexec_fn=limit) as process,
    ):
        while not (found := re.findall(r":(\d+)/", log.read_text("utf-8", "replace"))):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        service = Service(process, int(found[0]), log)
        while service.ask("GET", "health")[0] != 200:
            time.sleep(0.1)
        try:
            yield service
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def idle_uploads(bench: Bench, index: Path, contents: list[bytes]) -> Counts:
    """Begin uploads and stay silent; count for how long others are not answered."""
    with serving(bench, index) as service:
        idle = [service.send(POST + bytes(110)) for _ in range(UPLOADS)]
        start, refused = time.monotonic(), 0
        while service.ask("POST", "search", contents[0])[0] != 200:
            refused += 1
            time.sleep(0.1)
        waited = time.monotonic() - start
        for connection in idle:
            connection.close()
        return {
            "uploads": UPLOADS, "searches refused": refused,
            "seconds until one was answered": round(waited, 1),
        }  # fmt: skip


def half_sent(bench: Bench, index: Path) -> Counts:
    """Hold more connections than files may be open; ask beside them, and once they are gone."""
    with serving(bench, index, FILES) as service:
        held = [service.send(b"GET /api/v1/inf") for _ in range(HALVES)]
        start, answered, asked = time.monotonic(), 0, 0
        while time.monotonic() < start + SECONDS:
            with suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=3)
                asked += 1
                connection.request("GET", "/api/v1/health")
                answered += connection.getresponse().status == 200
            time.sleep(1)
        for one in held:
            one.close()
        time.sleep(2)
        after = service.ask("GET", "health")[0]
        return {
            "connections": HALVES, "files": FILES, "asked beside": asked,
            "not_answered": asked - answered, "service_ended": int(after != 200),
            "megabytes of log": round(service.log.stat().st_size / 1e6, 2),
        }  # fmt: skip


def aborted(bench: Bench, index: Path) -> Counts:
    """Begin uploads and leave."""
    with serving(bench, index) as service:
        for _ in range(ABORTED):
            connection = service.send(POST + bytes(1000))
            time.sleep(0.05)
            connection.close()
        time.sleep(1)
        return {
            "uploads": ABORTED, "tracebacks": service.log.read_text().count("Traceback"),
            "kilobytes of log": round(service.log.stat().st_size / 1e3, 1),
        }  # fmt: skip


def killed(bench: Bench, index: Path, contents: list[bytes]) -> Counts:
    """Kill the processes that decode between two pictures."""
    counts = {"processes": 0, "pictures_refused": 0}
    with serving(bench, index) as service:
        for number in range(ROUNDS):
            service.ask("POST", "queries", contents[number % len(contents)])
            for process in service.children():
                os.kill(process, signal.SIGKILL)
                counts["processes"] += 1
            time.sleep(0.2)
            new = contents[number % len(contents)] + b"%d" % number
            counts["pictures_refused"] += service.ask("POST", "queries", new)[0] != 201
    return counts


def built_anew(bench: Bench, index: Path, photos: Path, build: list[object]) -> Counts:
    """Delete the index and build it of other pictures under the same names."""
    counts = {"indexes": 0, "stale_answers": 0}
    with serving(bench, index) as service:
        files = sorted(photos.iterdir())
        for _ in range(ROUNDS):
            first = files[0].read_bytes()
            for path, following in pairwise(files):
                shutil.copyfile(following, path)
            files[-1].write_bytes(first)
            shutil.rmtree(index)
            bovw(*build).check_returncode()
            found = service.ask("POST", "search?topk=1", files[0].read_bytes())[1]
            counts["indexes"] += 1
            counts["stale_answers"] += f'"name":"{files[0].name}"' not in found
            assert len(Index.open(index)) == len(files)
    return counts


def large(bench: Bench, index: Path) -> Counts:
    """Give small files of 64 megapixels; measure the most memory that decoding one takes."""
    counts: Counts = {}
    for name, kind in (("float", np.float32), ("16-bit", np.uint16)):
        path = bench.folder("large") / "large.tif"
        image = Image.fromarray(np.zeros((SIDE, SIDE), kind))
        image.save(path, compression="tiff_adobe_deflate")
        with serving(bench, index) as service:
            service.ask("POST", "queries", path.read_bytes())
            peaks = [
                int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{n}/status").read_text())[0])
                for n in service.children()
            ]
            counts[f"kilobytes of a {name} TIFF"] = round(path.stat().st_size / 1e3)
            counts[f"megabytes of memory for a {name} TIFF"] = max(peaks) // 1024
    return counts
