"""`make mutate` itself: it finds a fault that tests notice, and one that they do not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))  # `scripts` is no package

from mutate import ROOT as MUTATED  # noqa: E402
from mutate import main, mutants_of  # noqa: E402
from mutation.lua_mutants import lua_mutants  # noqa: E402
from mutation.mutants import Mutant, drawn  # noqa: E402
from mutation.plan import PLAN, expand_patterns  # noqa: E402
from mutation.python_mutants import python_mutants  # noqa: E402
from mutation.results import Result, again, figures, interval, known_equivalents  # noqa: E402

CODE = """\
import asyncio


async def told(seen, limit):
    if len(seen) >= limit:
        return False
    seen.append(1)
    await asyncio.sleep(0)
    return True


def hangs(number):
    while number > 0:
        number -= 1
"""
TESTS = """\
import asyncio

from planted import hangs, told


def test_told():
    seen = []
    assert asyncio.run(told(seen, 5))
    assert seen == [1]
    hangs(3)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet", root], check=True)
    (root / "planted.py").write_text(CODE)
    (root / "test_planted.py").write_text(TESTS)
    return root


DRIVER = """\
import json
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import mutate

mutate.SPARE_S = 1.0
tree, operators = Path(sys.argv[2]), sys.argv[3].split()
chosen = [m for m in mutate.mutants_of(tree, "planted.py") if m.operator in operators]
results = mutate.run_mutants(tree, chosen, {"planted.py": ("test_planted.py",)})
print(json.dumps([(r.mutant.operator, r.mutant.before, r.killed, r.timed_out) for r in results]))
"""
"""In a process of its own: it forks, and what it loads must not meet what this one has loaded."""


def _driven(tree: Path, operators: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", DRIVER, str(ROOT / "scripts"), str(tree), operators]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def _content(tree: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file()}


@pytest.mark.slow
def test_faults_that_tests_notice_are_killed_and_others_survive(tree: Path) -> None:
    before = _content(tree)
    ended = _driven(tree, "GtE_Gt RemoveStatement")
    assert ended.returncode == 0, ended.stderr
    found: list[Any] = json.loads(ended.stdout)
    assert {(operator, line): killed for operator, line, killed, _ in found} == {
        ("GtE_Gt", "if len(seen) >= limit:"): False,
        ("RemoveStatement", "seen.append(1)"): True,
        ("RemoveStatement", "await asyncio.sleep(0)"): False,
        ("RemoveStatement", "number -= 1"): True,
    }
    assert [line for _, line, _, timed_out in found if timed_out] == ["number -= 1"]
    assert _content(tree) == before, "only a copy is ever mutated"


@pytest.mark.slow
def test_tests_that_fail_without_a_fault_end_it(tree: Path) -> None:
    (tree / "test_planted.py").write_text("def test_no():\n    assert False\n")
    ended = _driven(tree, "GtE_Gt")
    assert ended.returncode == 2
    assert "test_no" in ended.stderr


def _of(mutants: list[Mutant], *operators: str) -> list[Mutant]:
    return [mutant for mutant in mutants if mutant.operator in operators]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        (
            "if stored >= first then return 1 end",
            {">= to >": "if stored > first then return 1 end"},
        ),
        ("local a = b and c", {"and to or": "local a = b or c"}),
        ("redis.call('HDEL', a, b)", {"leave out": ""}),
        ("local n = a + 2", {"+ to -": "local n = a - 2", "+1": "local n = a + (3)"}),
        ("while i < n do", {"< to <=": "while i <= n do"}),
        ("if ready then", {"swap branches": "if not (ready) then"}),
        ("local s = 'a >= b' -- a > b", {}),
        ("local s = ARGV[2]", {}),
    ],
)
def test_lua_gets_the_faults_that_people_make(line: str, texts: dict[str, str]) -> None:
    found = {mutant.operator: mutant.source() for mutant in lua_mutants("x.lua", line)}
    assert {operator: found.get(operator) for operator in texts} == texts
    assert bool(found) == bool(texts)


@pytest.mark.parametrize(
    ("body", "operator", "text"),
    [
        ("await f()", "RemoveStatement", "pass"),
        ("x.y += 1", "RemoveStatement", "pass"),
        ("x[1] = 2", "RemoveStatement", "pass"),
        ("raise X", "RemoveStatement", "pass"),
        ("x = f()", "RemoveStatement", None),
        ('_log.info("x")', "RemoveStatement", None),
        ("return a < b", "Lt_LtE", "return a <= b"),
        ("return 1", "NumberReplacer", "return 2"),
    ],
)
def test_python_gets_the_faults_that_people_make(
    body: str, operator: str, text: str | None
) -> None:
    source = f"async def g():\n    {body}\n"
    found = [m.source() for m in python_mutants("x.py", source) if m.operator == operator]
    expected = [] if text is None else [f"async def g():\n    {text}\n"]
    assert found[:1] == expected


def test_each_exception_that_is_caught_is_one_fault() -> None:
    source = "def f():\n    try:\n        g()\n    except (a.B, C) as error:\n        h(error)\n"
    found = _of(python_mutants("x.py", source), "CatchAnother")
    lines = [mutant.source().splitlines()[3].strip() for mutant in found]
    assert lines == [
        "except (FutureWarning, C) as error:", "except (a.B, FutureWarning) as error:",
    ]  # fmt: skip


def test_numbers_outside_functions_are_settings_and_no_place_for_faults() -> None:
    source = "A = 1\n\ndef f(x=2):\n    return x\n"
    assert _of(python_mutants("x.py", source), "NumberReplacer") == []


def test_a_sample_stays_the_same_when_lines_move_and_others_come() -> None:
    before = lua_mutants("x.lua", "if a > b then\n  f(1)\nend\n")
    after = lua_mutants("x.lua", "g(7)\n\nif a > b then\n  f(1)\nend\n")
    names = [mutant.name for mutant in drawn(after, 3)]
    assert [n for n in names if "g(7)" not in n] == [m.name for m in drawn(before, 3)]
    assert [m.name for m in drawn(before, 4)] != [m.name for m in drawn(before, 3)]


def _result(path: str, number: int, killed: bool) -> Result:
    return Result(Mutant(path, "op", 1, "x", number, str), killed, False, 1.0)


def test_figures_count_each_group_and_a_second_run_of_the_survivors_joins_the_first() -> None:
    plan = {"a": ("a.py",), "b": ("b.py",)}
    first = [_result("a.py", n, n != 2) for n in range(4)] + [_result("b.py", 0, False)]
    found = figures(first, 50, plan, {"b.py: x [op #0]"})
    assert (found["run"], found["killed"], found["killed_share"]) == (5, 3, 0.6)
    assert (found["run.a"], found["killed.a"], found["equivalent.b"]) == (4, 3, 1)
    second = figures([_result("a.py", 2, True), _result("b.py", 0, False)], 50, plan, set())
    joined = again(found, second, plan)
    assert (joined["run"], joined["killed"], joined["killed.a"], joined["killed.b"]) == (5, 4, 4, 0)
    assert joined["killed_share"] == 0.8


def test_the_interval_of_a_sample_is_wider_than_its_share_and_that_of_all_is_the_share() -> None:
    assert interval(3, 4, 4) == (0.75, 0.75)
    low, high = interval(75, 100, 1_000)
    assert low < 0.75 < high
    assert interval(100, 100, 1_000)[1] == pytest.approx(1.0)


def test_every_file_of_the_plan_is_there_and_has_tests() -> None:
    for files in PLAN.values():
        for path, patterns in files.items():
            assert (MUTATED / path).is_file()
            assert expand_patterns(MUTATED, patterns)
            # The first is the name of the file's own tests, if it has any; others are named.
            assert all(expand_patterns(MUTATED, (one,)) for one in patterns[1:])


def test_every_equivalent_mutant_is_one_and_has_a_reason() -> None:
    there = {
        mutant.name
        for path in {name.split(": ")[0] for name in known_equivalents()}
        for mutant in mutants_of(MUTATED, path)
    }
    assert set(known_equivalents()) <= there
    assert all(len(reason) > 10 for reason in known_equivalents().values())


def test_what_is_not_in_the_plan_is_refused_by_name() -> None:
    with pytest.raises(SystemExit, match=r"unknown: stream/nothing\.py"):
        main(["stream/nothing.py"])
