"""Who imports whom, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import bovw

PACKAGE = Path(bovw.__file__).parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

STAGES = ("images", "pictures", "features", "vocab", "index", "ranking", "verification", "results")
SHARED = {
    "records",
    "options",
    "errors",
    "outline",
    "output",
    "parallel",
    "cluster",
    "memory",
    "jit",
    "kernels",
}
# Stage 1 is two files; stage 2 describes the Picture that it decodes, and opens queries by itself.
EXCEPTIONS = {"pictures": {"images"}, "features": {"pictures"}}
# What compares two pictures, or shows what was found, knows no index.
WITHOUT_INDEX = {
    "pair": SHARED | {"verification", "vocab"},
    "drawing": SHARED | {"pictures"},
    "report": SHARED | {"report", "pictures", "results", "search", "evaluation"},
}
# What looks at a whole run leaves joining these to search.
JOINED_BY_SEARCH = {"ranking", "verification"}
HOMES = {
    "click": lambda file: file.startswith("cli"),
    "sqlite3": lambda file: file.startswith("index/"),
    "numba": lambda file: file.rpartition("/")[2] in ("jit.py", "kernels.py", "ransac.py"),
    **dict.fromkeys(("fastapi", "starlette", "pydantic"), lambda file: file.startswith("web/")),
    "prometheus_client": lambda file: file.startswith("web/"),
    **dict.fromkeys(("ray", "distributed"), lambda file: file in ("cluster.py", "team.py")),
    "uvicorn": lambda file: file == "cli_web.py",
}
HEAVY = ("cv2", "scipy", "sklearn", "numba", "PIL")


def imported(file: str) -> Iterator[str]:
    """Yield the modules that a file imports anywhere in it; `from a import b` gives a.b too."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import: name the module in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts(file: str) -> set[str]:
    """Return the modules directly below bovw that a file imports from."""
    names = (name.split(".") for name in imported(file) if name.startswith("bovw."))
    return {name[1] for name in names} - set(bovw.__all__) - {"__version__"}


def part_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


@pytest.mark.parametrize("file", [f for f in FILES if part_of(f) in STAGES])
def test_a_stage_imports_no_other(file: str) -> None:
    stage = part_of(file)
    assert parts(file) <= SHARED | {stage} | EXCEPTIONS.get(stage, set())


@pytest.mark.parametrize("file", [f for f in FILES if part_of(f) in SHARED])
def test_what_is_shared_imports_no_stage(file: str) -> None:
    assert parts(file) <= SHARED


@pytest.mark.parametrize("file", [f for f in FILES if part_of(f) in ("evaluation", "report")])
def test_evaluation_and_report_use_search(file: str) -> None:
    assert parts(file).isdisjoint(JOINED_BY_SEARCH)


@pytest.mark.parametrize("file", [f for f in FILES if part_of(f) in WITHOUT_INDEX])
def test_what_shows_answers_knows_no_index(file: str) -> None:
    assert parts(file) <= WITHOUT_INDEX[part_of(file)]


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith(("cli", "__main__"))])
def test_only_the_command_line_imports_the_command_line(file: str) -> None:
    assert not [part for part in parts(file) if part.startswith("cli")]


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith(("web", "cli_web"))])
def test_nothing_needs_the_web(file: str) -> None:
    assert "web" not in parts(file)


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = [f for f in FILES if library in {name.partition(".")[0] for name in imported(f)}]
    assert [user for user in users if not HOMES[library](user)] == []


def loaded_after(code: str, modules: tuple[str, ...]) -> list[str]:
    """Return which of the modules a new interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys\nprint(*({set(modules)!r} & sys.modules.keys()), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import bovw", (*HEAVY, "numpy", "click", "joblib")) == []


@pytest.mark.skipif(find_spec("bovw.cli") is None, reason="there is no command line yet")
def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['bovw', '--help']\n"
        "from bovw.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code"
    )
    assert loaded_after(code, HEAVY) == []


@pytest.mark.parametrize("name", bovw.__all__)
def test_public_names_load(name: str) -> None:
    assert getattr(bovw, name).__name__ == name
    assert name in dir(bovw)


def test_no_other_name_loads() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bovw.nothing  # noqa: B018
