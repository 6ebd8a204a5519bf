"""Mutants of Python: the operators of cosmic-ray that plant plausible faults, and one of ours.

cosmic-ray has no operator that leaves a statement out, and that is the fault this code fears most:
an effect that is not awaited, a metric that nobody counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword, Name
from parso.tree import NodeOrLeaf

from mutation.mutants import Mutant, numbered

_COMPARISONS: Final = ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq",
                       "Is_IsNot", "IsNot_Is")  # fmt: skip
_ARITHMETIC: Final = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul")
_OTHERS: Final = (
    "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd", "AddNot",
    "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop",
    "NumberReplacer",
)  # fmt: skip
_SPOKEN: Final = ("_log.", "self.log.")
"""What is only said to people who read logs; no test asks for the words."""


class RemoveStatement(Operator):
    """Replaces a statement that has an effect by `pass`.

    Those are calls, awaited or not, assignments to attributes and elements, additions, raises and
    deletions. Without an assignment to a name the code after it would not run at all.
    """

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the position of a statement that can be left out."""
        if node.type == "simple_stmt" and _has_effect(node.children[0]) and _is_in_function(node):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Return the statement without its effect."""
        first = node.children[0].get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, first.prefix)
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Return what it does to code."""
        return (
            Example("def f():\n    await g()\n", "def f():\n    pass\n"),
            Example("def f():\n    a.b = 1\n", "def f():\n    pass\n"),
            Example("def f():\n    raise X\n", "def f():\n    pass\n"),
        )


class CatchAnother(Operator):
    """Replaces an exception that is caught by one that nothing raises.

    cosmic-ray has the like, which fails on dotted names (`redis_errors.ConnectionError`).
    """

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the position of each class of an `except`."""
        for place in _caught(node):
            yield place.start_pos, place.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Return the `except` with one class replaced."""
        place = _caught(node)[index]
        first = place.get_first_leaf()
        siblings = place.parent.children
        siblings[siblings.index(place)] = Name("FutureWarning", first.start_pos, first.prefix)
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Return what it does to code."""
        return (Example("try: f()\nexcept a.B: pass", "try: f()\nexcept FutureWarning: pass"),)


def _caught(node: Any) -> list[Any]:
    """Return the classes of an `except` clause; none of another node."""
    if node.type != "except_clause":
        return []
    classes = node.children[2 if node.children[1].get_code().strip() == "*" else 1]
    if classes.type != "atom":
        return [classes]
    inside = classes.children[1]
    return inside.children[::2] if inside.type == "testlist_comp" else [inside]


def _has_effect(statement: NodeOrLeaf) -> bool:
    code = statement.get_code(include_prefix=False)
    if statement.type == "expr_stmt":
        target = statement.children[0].get_code(include_prefix=False)
        augmented = statement.children[1].type == "operator" and statement.children[1].value != "="
        return augmented or target[-1:] == "]" or "." in target
    if statement.type in ("atom_expr", "power"):
        return not code.startswith(_SPOKEN)
    return statement.type in ("raise_stmt", "del_stmt") or code == "raise"


def _is_in_function(node: NodeOrLeaf) -> bool:
    """Tell whether a node is in the body of a function.

    Numbers elsewhere are settings and defaults, of which one more or less is no fault.
    """
    inside: Any = node
    while inside is not None:
        if inside.type in ("parameters", "decorator"):
            return False
        if inside.type in ("funcdef", "lambdef"):
            return True
        inside = inside.parent
    return False


def _operators() -> Iterator[tuple[str, Operator]]:
    for pair in _COMPARISONS:
        yield pair, get_operator(f"core/ReplaceComparisonOperator_{pair}")()
    for pair in _ARITHMETIC:
        yield pair, get_operator(f"core/ReplaceBinaryOperator_{pair}")()
    for name in _OTHERS:
        yield name.removeprefix("Replace"), get_operator(f"core/{name}")()
    yield "CatchAnother", CatchAnother()
    yield "RemoveStatement", RemoveStatement()


def python_mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a Python file."""
    return numbered(path, source, _found(source))


def _found(source: str) -> Iterator[tuple[int, str, Callable[[], str]]]:
    nodes = list(ast_nodes(get_ast(source)))
    for name, operator in _operators():
        occurrence = -1
        for node in nodes:
            for position, _ in operator.mutation_positions(node):
                occurrence += 1
                if _is_in_function(node):
                    yield position[0], name, partial(_with_fault, source, operator, occurrence)


def _with_fault(source: str, operator: Operator, occurrence: int) -> str:
    made = mutate_code(source, operator, occurrence)
    if made is None:
        raise ValueError(f"{operator} finds no place {occurrence}")
    return made
