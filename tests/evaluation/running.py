"""`bovw eval` run in this process."""

from __future__ import annotations

import json
from typing import Any

import cv2
from click.testing import CliRunner, Result

from bovw.cli import cli
from bovw.options import FeatureOptions, VocabularyOptions

AREA = cv2.INTER_AREA

FEW = FeatureOptions(max_features=400, max_size=400)

TINY = VocabularyOptions(words=200)

GREY = ("grey/first.png", "grey/last.png")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unexpected" not in result.output
    return result


def report(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = run("eval", *arguments, "--format", "json", "--quiet", code=code)
    content: dict[str, Any] = json.loads(result.stdout)
    return content
