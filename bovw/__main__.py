"""`python -m bovw` and the console script."""

import os
import signal
import sys
from types import FrameType

from bovw.cli import cli


def main() -> None:
    """Run the command line; SIGTERM ends it in order, with its worker processes."""
    _prepare()
    signal.signal(signal.SIGTERM, _leave)
    cli()


def _prepare() -> None:
    """Have all three streams, and names of files as their bytes."""
    # A closed one (`2>&-`) gives its number to the next file, which then gets what libraries print.
    for stream, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, stream) is None:
            mode = "r" if stream == "stdin" else "w"
            setattr(sys, stream, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    # In a locale such as Latin-1, Python would read names as other characters than they are.
    if os.name == "posix" and sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
