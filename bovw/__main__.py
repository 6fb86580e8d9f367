"""`python -m bovw` and the console script."""

import signal
import sys
from types import FrameType

from bovw.cli import cli


def main() -> None:
    """Run the command line; SIGTERM ends it in order, with its worker processes."""
    signal.signal(signal.SIGTERM, _leave)
    cli()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
