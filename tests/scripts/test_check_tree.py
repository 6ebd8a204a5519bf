"""The house's measurable rules are refused by name, figure and limit when something breaks them."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_tree.py"


def check(tree: Path, *names: str) -> tuple[int, list[str]]:
    """Check a tree of files that git tracks; return the exit status and the lines of complaint."""
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    subprocess.run(["git", "add", "-A", "-f"], cwd=tree, check=True)
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *names], cwd=tree, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stderr.splitlines()


def write(tree: Path, name: str, text: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def function(lines: int) -> str:
    """Return a function of so many lines, its head and its docstring counted."""
    return 'def go() -> None:\n    """Go."""\n' + "    x = 1\n" * (lines - 2)


def test_what_keeps_the_rules_passes(tmp_path: Path) -> None:
    write(tmp_path, "core/whole.py", "x = 1\n" * 300)
    write(tmp_path, "stream/whole.py", function(40))
    write(tmp_path, "services/one.py", "class One:\n    pass\n")
    write(tmp_path, "testkit/one.py", "class One:\n    pass\n")  # the product's names only
    write(tmp_path, "tests/test_long.py", "x = 1\n" * 900)
    assert check(tmp_path) == (0, ["5 files are fit to commit"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("core/long.py", "x = 1\n" * 301,
         "core/long.py: 301 lines, expected at most 300: split it by idea"),
        ("testkit/long.py", "x = 1\n" * 301,
         "testkit/long.py: 301 lines, expected at most 300: split it by idea"),
        ("models/deep/long.py", "\n\n" + function(41),
         "models/deep/long.py:3: go has 41 lines, expected at most 40"),
        ("services/a.py", function(41).replace("def", "async def"),
         "services/a.py:1: go has 41 lines, expected at most 40"),
        ("evaluation/a.py", "class A:\n    " + function(41).replace("\n", "\n    ").rstrip() + "\n",
         "evaluation/a.py:2: go has 41 lines, expected at most 40"),
        ("services/a.py", 'import importlib\n\nimportlib.import_module("kafka.structs")\n',
         "services/a.py:3: kafka is imported by its name as text, past the import contracts"),
        ("stream/a.py", 'def f():\n    return __import__("torch")\n',
         "stream/a.py:2: torch is imported by its name as text, past the import contracts"),
        ("docs/page.md", "no end", "docs/page.md: no newline at the end"),
        ("docs/data.csv", "a,b\n", "docs/data.csv: .csv files are not committed"),
        ("docs/key.txt", f"AKIA{'A' * 16}\n", "docs/key.txt: looks like a secret"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_named_with_its_figure_and_limit(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    write(tmp_path, name, text)
    assert check(tmp_path) == (1, [message])
    assert check(tmp_path, name) == (1, [message])


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "docs/large.txt", "x" * 10_000_000 + "\n")
    assert check(tmp_path) == (
        1, ["docs/large.txt: 10000001 bytes, expected at most 10000000"]
    )  # fmt: skip


def test_a_class_name_that_stands_for_two_things_is_refused_wherever_it_stands(
    tmp_path: Path,
) -> None:
    write(tmp_path, "core/one.py", "class One:\n    pass\n")
    write(tmp_path, "models/one.py", "def f():\n    class One:\n        pass\n")
    write(tmp_path, "services/other.py", "x = 1\n")
    message = (
        "models/one.py:2: the class name One stands in 2 places, expected one; also core/one.py:1"
    )
    assert check(tmp_path) == (1, [message])
    assert check(tmp_path, "services/other.py") == (1, [message])
