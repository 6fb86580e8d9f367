"""Files that the server keeps for a while: pictures given to it, and thumbnails."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from bovw.errors import BovwError
from bovw.web.admission import FullError

# A full cache deletes the least recently used files until this share of the room is in use.
KEPT = 0.9


class TooLargeError(Exception):
    """More bytes came than allowed."""


class FileCache:
    """Files by SHA-256 in one folder; the least recently used ones make room for new ones.

    Several servers may share a folder.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Use `folder`, made if it is missing; raises BovwError if it cannot be made."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise BovwError(
                f"{folder} cannot be written ({error.strerror}): give another folder by --cache"
            ) from error
        self.folder, self.most_bytes = folder, most_bytes
        self._lock = threading.Lock()
        self._bytes = self._measure()
        # Bytes of what has not come whole, counted in the event loop alone.
        self._coming = 0

    def find(self, key: str) -> Path | None:
        """Return the file of a key, or None if it is not kept (any more)."""
        if not re.fullmatch("[0-9a-f]{64}", key):
            return None
        path = self.folder / key
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def put(self, key: str, content: bytes) -> None:
        """Keep content under a key, the SHA-256 of its source."""
        with self._aside() as file:
            file.write(content)
            self._keep(file, key, len(content))

    async def receive(self, parts: AsyncIterable[bytes], most_bytes: int) -> str:
        """Write incoming bytes to disk at once, and return their SHA-256.

        Raises TooLargeError for more than `most_bytes`, FullError if files that have not come whole
        take half of the cache's room, and BovwError if nothing can be written.
        """
        digest, size = hashlib.sha256(), 0
        try:
            with self._aside() as file:
                async for part in parts:
                    size += len(part)
                    self._coming += len(part)
                    if size > most_bytes:
                        raise TooLargeError
                    if self._coming > self.most_bytes / 2:
                        raise FullError
                    digest.update(part)
                    file.write(part)
                key = digest.hexdigest()
                self._keep(file, key, size)
        except (TimeoutError, ConnectionError):
            raise
        except OSError as error:
            raise BovwError(f"{self.folder} cannot be written ({error.strerror})") from error
        finally:
            self._coming -= size
        return key

    @contextmanager
    def _aside(self) -> Iterator[IO[bytes]]:
        """Yield a new file under a temporary name; an error removes it."""
        with NamedTemporaryFile(dir=self.folder, delete=False) as file:
            try:
                yield file
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def _keep(self, file: IO[bytes], key: str, size: int) -> None:
        # Complete before it has its name.
        file.flush()
        Path(file.name).replace(self.folder / key)
        with self._lock:
            self._bytes += size
            if self._bytes > self.most_bytes:
                self._make_room(key)

    def _make_room(self, but: str) -> None:
        found = sorted(self._files(), key=lambda entry: entry.stat().st_mtime_ns)
        self._bytes = sum(entry.stat().st_size for entry in found)
        for entry in found:
            if self._bytes <= KEPT * self.most_bytes:
                break
            if entry.name != but:
                self._bytes -= entry.stat().st_size
                Path(entry.path).unlink(missing_ok=True)

    def _measure(self) -> int:
        return sum(entry.stat().st_size for entry in self._files())

    def _files(self) -> list[os.DirEntry[str]]:
        """Return the files, with sizes and times already read."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                # Another server that shares the folder may have removed it.
                with suppress(OSError):
                    entry.stat()
                    found.append(entry)
        return found
