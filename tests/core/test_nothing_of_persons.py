"""No participation and no politics of a person leaves the system: topics, metrics, logs, persona.

Every record type, every metric and every call of a log is looked at, so a new one is held too.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import core.metrics
from core.crowd_schemas import CrowdTurned
from core.heads import TABLE
from core.metrics.declared import Declared
from core.response_schemas import ResponseCrowd
from core.schemas import SCHEMAS
from models.socialalign.persona_history import PERSONAL_HEADS, RememberedPost, check_post
from stream.topics import EVENTS, FORECASTS, POST_EVENTS, POSTS, SCORED_POSTS, TOPICS

ROOT = Path(__file__).parents[2]
PRODUCT = ("core", "stream", "models", "services")
OF_GROUPS = {spec.name for spec in TABLE if spec.least_posts}
INFERRED = re.compile(
    r"participat|politic|partisan|ideolog|leaning|(?<!third_)party|\bvote|religio|ethnic|"
    + "|".join(rf"(?<![a-z]){name}(?![a-z])" for name in OF_GROUPS | {"propensity", "persona"})
)
PERSON = re.compile(
    r"(?:^|_)(author|person|user|account|handle|persona|who|bio|author_id|user_id)$"
)
SAID = re.compile(r"(?:^|_)(text|scores|heads|probabilities|stance|sentiment|emotion)$")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def fields_of(kind: Any) -> set[str]:
    """Return the names of all fields of a record, of what it holds too, with their enumerations."""
    schema = msgspec.json.schema(kind)
    found: set[str] = set()
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            found |= set(one.get("properties", {})) | {str(v) for v in one.get("enum", [])}
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


def metrics() -> Iterator[tuple[str, Declared]]:
    """Yield every declared metric by its attribute."""
    for module in pkgutil.iter_modules(core.metrics.__path__):
        for kind in vars(importlib.import_module(f"core.metrics.{module.name}")).values():
            if isinstance(kind, type):
                for name, one in vars(kind).items():
                    if isinstance(one, Declared):
                        yield name, one


def log_calls(source: str) -> Iterator[ast.Call]:
    """Yield the calls of a log in a file."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and re.search(r"log", ast.unparse(node.func.value).lower())
        ):
            yield node


def told_of_persons(call: ast.Call) -> list[str]:
    """Return what a call of a log tells of one person, or infers."""
    found = [word.arg for word in call.keywords if word.arg and PERSON.search(word.arg)]
    found += [word.arg for word in call.keywords if word.arg and SAID.search(word.arg)]
    for value in [*call.args, *(word.value for word in call.keywords)]:
        for node in ast.walk(value):
            if isinstance(node, ast.Attribute) and (
                PERSON.search(node.attr) or SAID.search(node.attr)
            ):
                found.append(ast.unparse(node))
            elif isinstance(node, ast.Name) and PERSON.search(node.id):
                found.append(node.id)
            elif isinstance(node, ast.Constant) and INFERRED.search(str(node.value).lower()):
                found.append(str(node.value))
    return found


def test_no_topic_but_the_internal_one_of_scores_says_what_a_person_takes_part_in() -> None:
    for name, spec in TOPICS.items():
        fields = fields_of(SCHEMAS[spec.schema])
        assert fields, name
        assert [one for one in fields if INFERRED.search(one.lower())] == [], name
        # Scores by post stand on one topic, from which windows are counted; it has no text.
        assert ("scores" in fields) == (name == SCORED_POSTS), name


def test_no_record_but_the_internal_one_has_an_author_beside_what_a_model_says_of_posts() -> None:
    named: set[str] = set()
    for name, spec in TOPICS.items():
        fields = fields_of(SCHEMAS[spec.schema])
        if any(PERSON.search(one) for one in fields):
            named.add(name)
            said = {one for one in fields if SAID.search(one) or one == "crowd"} - {"text"}
            # A turn of a crowd names no author: see the tests of `crowd_turned`.
            assert said == {SCORED_POSTS: {"scores"}, EVENTS: {"crowd"}}.get(name, set()), name
    assert named == {POSTS, POST_EVENTS, SCORED_POSTS, FORECASTS, EVENTS}


def test_what_is_said_of_a_crowd_has_no_place_for_a_person() -> None:
    for kind in (CrowdTurned, ResponseCrowd):
        fields = fields_of(kind)
        assert {"expected", "observed"} <= fields
        assert [one for one in fields if PERSON.search(one) or one.endswith("_id")] == []


def test_no_metric_is_labelled_by_a_person_or_names_what_a_person_is() -> None:
    every = list(metrics())
    assert len(every) > 50
    for name, one in every:
        for label in one.labels:
            assert not PERSON.search(label), f"{name} is labelled by {label}"
            assert label not in {"post", "post_id", "text", "thread"}, f"{name}: {label}"
            assert not INFERRED.search(label), f"{name} is labelled by {label}"
        assert not INFERRED.search(name), name


def test_no_log_tells_of_a_person() -> None:
    calls = 0
    for package in PRODUCT:
        for file in (ROOT / package).rglob("*.py"):
            for call in log_calls(file.read_text(encoding="utf-8")):
                calls += 1
                found = told_of_persons(call)
                assert found == [], f"{file.relative_to(ROOT)}:{call.lineno} tells {found}"
    assert calls > 50


@pytest.mark.parametrize(
    "line",
    [
        '_log.info("seen", author=post.author)',
        '_log.info("seen", name=post.author)',
        'self._log.warning(f"{author} was seen")',
        '_log.error("odd", detail=post.text)',
        '_log.info("participation is high", share=0.4)',
        '_log.info("odd", scores=found)',
    ],
)
def test_a_log_that_tells_of_a_person_would_be_found(line: str) -> None:
    (call,) = log_calls(line)
    assert told_of_persons(call)


def test_what_is_a_matter_of_groups_would_be_found_in_a_record() -> None:
    class Odd(msgspec.Struct):
        author: str
        participation_level: int

    assert {one for one in fields_of(Odd) if INFERRED.search(one)} == {"participation_level"}


def test_a_persona_has_no_head_that_is_a_matter_of_groups() -> None:
    assert {"participation", "problem"} == OF_GROUPS
    assert OF_GROUPS.isdisjoint(PERSONAL_HEADS)
    for name in OF_GROUPS:
        with pytest.raises(ValueError, match=name):
            check_post(RememberedPost(0.0, "p", "t", "", {name: (1.0,)}))
