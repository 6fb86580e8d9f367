"""Photographs as bytes, for tests of what may be wrong with them."""

from __future__ import annotations

import cv2
import numpy as np
from click.testing import CliRunner, Result

from bovw.cli import cli
from bovw.records import Bytes

FEW = ("--max-features", "600")


def encoded(pixels: Bytes, suffix: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def half(pixels: Bytes) -> Bytes:
    """Reduce a picture to 320 by 240 pixels, which is quick to describe."""
    small = cv2.resize(pixels, (320, 240), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result
