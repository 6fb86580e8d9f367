"""Remarks in the log, each kind of them a few times only."""

from __future__ import annotations

import logging
import time

# Seconds in which a kind of remark is logged once, and kinds that are remembered.
SECONDS, KINDS = 60.0, 100


class Sparing(logging.Filter):
    """Lets a kind of remark through once a minute, so that no stranger can fill the disk.

    A kind is the text before its values are put in, and the class of the error.
    """

    def __init__(self) -> None:
        super().__init__()
        # When each kind was logged last, and how often it was left out since.
        self._logged: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log a remark; it says how many like it were left out before."""
        error = record.exc_info[0] if record.exc_info else None
        kind = record.name, str(record.msg).partition("\n")[0], error
        now = time.monotonic()
        last, left_out = self._logged.get(kind, (-SECONDS, 0))
        if now < last + SECONDS:
            self._logged[kind] = last, left_out + 1
            return False
        if len(self._logged) >= KINDS:
            self._logged.clear()
        self._logged[kind] = now, 0
        if left_out:
            record.msg = f"({left_out:,} more like this left out) {record.msg}"
        return True


def log_sparingly() -> None:
    """Do so for everything that a request can make the server log."""
    for name in ("asyncio", "bovw", "uvicorn.error"):
        logging.getLogger(name).addFilter(Sparing())
