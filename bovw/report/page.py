"""The HTML page around a report: one file without scripts and without external resources."""

from __future__ import annotations

from string import Template

from bovw import __version__
from bovw.report.album import Album
from bovw.report.style import STYLE
from bovw.report.text import shown

PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="bovw $version">
<title>$title</title>
<style>
$style</style>
</head>
<body>
$symbols
$body
</body>
</html>
""")


def page(title: str, body: str, album: Album) -> bytes:
    """Return the whole page in UTF-8. `body` is HTML that shows images of the album."""
    text = PAGE.substitute(
        version=__version__, title=shown(title), style=STYLE, symbols=album.symbols, body=body
    )
    return text.encode("utf-8")
