"""Who imports whom, how many floors the house has, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import bovw

PACKAGE = Path(bovw.__file__).parent
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# The language that everybody speaks.
ROOT = {"records", "options", "errors", "geometry", "feedback"}
STAGES = {"images", "features", "vocab", "index", "ranking", "verification", "results"}
BELOW = ROOT | {"compute"}
# What each room may import beside itself. A stage imports no other stage.
ALLOWED = {
    **dict.fromkeys(ROOT, ROOT),
    "compute": ROOT,
    **dict.fromkeys(STAGES, BELOW),
    "demo": ROOT,
    "search": BELOW | STAGES,
    "ingest": BELOW | STAGES | {"search"},
    "cluster": BELOW | STAGES | {"search"},
    "evaluation": BELOW | {"images", "index", "vocab", "search"},
    "capacity": BELOW | {"images", "index", "search", "ingest"},
    "report": BELOW | STAGES | {"search", "evaluation"},
    "web": BELOW | STAGES | {"search", "ingest", "cluster", "evaluation"},
    "commands": BELOW
    | STAGES
    | {"search", "ingest", "cluster", "evaluation", "capacity", "report", "web", "demo"},
    "cli": {"commands", "compute", "errors"},
    "__main__": {"cli"},
}
# From cli.py down to records.py.
MOST_FLOORS = 8
# Each library is known in one place, so that it can be replaced there and is loaded by nobody else.
HOMES: dict[str, Callable[[str], bool]] = {
    "click": lambda file: file == "cli.py" or file.startswith("commands/"),
    "sqlite3": lambda file: file.startswith("index/"),
    "numba": lambda file: file.rpartition("/")[2] in ("jit.py", "kernels.py", "ransac.py"),
    **dict.fromkeys(("fastapi", "starlette", "pydantic"), lambda file: file.startswith("web/")),
    "prometheus_client": lambda file: file.startswith("web/"),
    **dict.fromkeys(
        ("ray", "distributed"), lambda file: file in ("cluster/engines.py", "cluster/replicas.py")
    ),
    "uvicorn": lambda file: file in ("commands/serve.py", "web/connections.py"),
}
HEAVY = ("cv2", "scipy", "sklearn", "numba", "PIL")


@cache
def imported(file: str) -> frozenset[str]:
    """Return the modules that a file imports anywhere in it; `from a import b` gives a.b too."""
    return frozenset(_imported(file))


def _imported(file: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import: name the module in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def rooms(file: str) -> set[str]:
    """Return the modules and folders directly below bovw that a file imports from."""
    names = (name.split(".") for name in imported(file) if name.startswith("bovw."))
    return {name[1] for name in names} - set(bovw.__all__) - {"__version__", room_of(file)}


def modules() -> dict[str, set[str]]:
    """Return for each file the files that it imports; the names of a door are its own."""
    known = {f"bovw.{file.removesuffix('.py').replace('/', '.')}": file for file in FILES}
    known |= {name.removesuffix(".__init__"): file for name, file in known.items()}
    return {
        file: {known[name] for name in imported(file) if name in known} - {file}
        for file in FILES
        if file != "__init__.py"  # it loads its names on first use
    }


@pytest.mark.parametrize("file", [f for f in FILES if f != "__init__.py"])
def test_a_room_imports_what_lies_below_it(file: str) -> None:
    assert rooms(file) <= ALLOWED[room_of(file)]


def test_from_the_command_line_to_the_records_there_are_few_floors() -> None:
    below = {room: set[str]() for room in map(room_of, FILES)}
    for file in FILES:
        if file != "__init__.py":
            below[room_of(file)] |= rooms(file)

    @cache
    def floors(room: str) -> int:
        """Return how many rooms the longest way from one to records.py enters."""
        if room == "records":
            return 1
        return 1 + max((floors(other) for other in below[room]), default=-99)

    assert 1 <= floors("cli") <= MOST_FLOORS


def test_no_files_import_each_other_in_a_circle() -> None:
    waiting = modules()
    while free := [file for file, needed in waiting.items() if not needed & waiting.keys()]:
        for file in free:
            del waiting[file]
    assert waiting == {}


def test_the_root_has_few_modules() -> None:
    assert len([file for file in FILES if "/" not in file]) <= 8


@pytest.mark.parametrize(
    "file", [f for f in FILES if room_of(f) != "commands" and f != "__init__.py"]
)
def test_a_stage_is_entered_by_its_door(file: str) -> None:
    """Commands alone reach further: they load one file, where and when it is used."""
    inner = {
        f"bovw.{f.removesuffix('.py').replace('/', '.')}" for f in FILES if room_of(f) in STAGES
    }
    reached = {name for name in imported(file) & inner if name.split(".")[1] != room_of(file)}
    assert reached == set()


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = [f for f in FILES if library in {name.partition(".")[0] for name in imported(f)}]
    assert users
    assert [user for user in users if not HOMES[library](user)] == []


@pytest.mark.parametrize("file", FILES)
def test_files_and_functions_fit_in_the_eye(file: str) -> None:
    text = (PACKAGE / file).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    kernels = file.endswith(("kernels.py", "ransac.py"))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= (60 if kernels else 45), f"{node.name} has {lines} lines"
            given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            count = len([one for one in given if one.arg not in ("self", "cls")])
            # A command has a parameter for each of its options.
            assert count <= 6 or room_of(file) == "commands", f"{node.name} takes {count}"


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


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['bovw', '--help']\n"
        "from bovw.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code"
    )
    assert loaded_after(code, (*HEAVY, "numpy")) == []


@pytest.mark.parametrize("name", bovw.__all__)
def test_public_names_load(name: str) -> None:
    assert getattr(bovw, name).__name__ == name
    assert name in dir(bovw)


def test_no_other_name_loads() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bovw.nothing  # noqa: B018
