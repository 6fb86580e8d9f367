"""Connections: how many there may be, and how long they may keep the server waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

from uvicorn.protocols.http.h11_impl import H11Protocol

from bovw.errors import BovwError

# Most connections at a time, and the fewest that the server starts with.
MOST, FEWEST = 500, 4
# Connections that the event loop takes at once, before any of them can be refused.
BACKLOG = 32
# Files that searches, decoding processes and logs open for a moment.
SPARE = 24


def room() -> int:
    """Return how many connections there may be, by the files that this process may open.

    To be called once the index is open: what is open now may be open twice, while the index is
    opened anew. A connection takes two files, one of them for the picture that comes through it.

    Raises BovwError if there is room for next to none.
    """
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # Windows has no such limit
        return MOST
    limit, now = getrlimit(RLIMIT_NOFILE)[0], sum(1 for _ in Path("/dev/fd").iterdir())
    found = (limit - 2 * now - BACKLOG - SPARE) // 2 if limit > 0 else MOST
    if found < FEWEST:
        raise BovwError(
            f"a process may open {limit} files, and serving this index needs "
            f"{2 * (now + FEWEST) + BACKLOG + SPARE}: raise it with `ulimit -n`"
        )
    return min(found, MOST)


def connections(most: int, patience: float) -> type[Connection]:
    """Return the class of at most `most` connections, which wait `patience` seconds."""
    return type("Connection", (Connection,), {"most": most, "patience": patience})


class Connection(H11Protocol):
    """Uvicorn's connection, which ends if its client keeps it waiting.

    A request must be there within `patience` seconds of its first byte, and what is written must be
    taken as soon. If there are more than `most` connections, that one ends whose client has been
    silent for longest. So connections that do nothing lock nobody out.
    """

    most: int
    patience: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in place of another one if there are too many."""
        super().connection_made(transport)
        self.ended, self.heard = False, self.loop.time()
        self._request: asyncio.TimerHandle | None = self._later()
        self._answer: asyncio.TimerHandle | None = None
        others = [c for c in self.connections if isinstance(c, Connection) and not c.ended]
        if len(others) > self.most:
            waiting = (other for other in others if other is not self and other.waits)
            min(waiting, key=lambda other: other.heard, default=self).end()

    @property
    def waits(self) -> bool:
        """Whether the client must do something first: send a request, or take its answer."""
        return not self._asked or self.flow.write_paused

    @property
    def _asked(self) -> bool:
        """Whether a request is there, whole and not yet answered."""
        cycle = self.cycle
        return cycle is not None and not cycle.more_body and not cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        super().data_received(data)
        self.heard = self.loop.time()
        if not self._asked:
            self._request = self._request or self._later()
        elif self._request:
            self._request.cancel()
            self._request = None

    def pause_writing(self) -> None:
        """Wait for the client to take what is written."""
        super().pause_writing()
        self._answer = self._later()

    def resume_writing(self) -> None:
        """Go on, because the client has taken it."""
        super().resume_writing()
        if self._answer:
            self._answer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.ended = True
        for timer in (self._request, self._answer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def end(self) -> None:
        """End the connection at once, whatever is not sent yet."""
        self.ended = True
        self.transport.abort()

    def _later(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.patience, self.end)
