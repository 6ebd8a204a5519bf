"""What anybody may send: it is refused by name and never a defect."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from services.console import process
from services.console.cursors import Cursors
from services.console.keys import Role
from services.console.problems import Problem
from testkit.console import (
    ConsoleRig,
    MemoryData,
    ServedConsole,
    console_rig,
    dead_record,
    hour_of_panes,
    past_alert,
    served_console,
)

LISTS = ("/alerts", "/queries", "/queries/trains/windows", "/dead-posts")
DEAD = [dead_record(n) for n in range(3)]
FUZZED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Asker:
    """Asks one console from tests that are no coroutines."""

    def __init__(self, folder: Path) -> None:
        data = MemoryData(
            kept=hour_of_panes(30), past=[past_alert(n) for n in (1, 2, 3)], dead=DEAD
        )
        self.runner = asyncio.Runner()
        self._made = console_rig(folder, data)
        self.rig: ConsoleRig = self.runner.run(self._made.__aenter__())

    def close(self) -> None:
        self.runner.run(self._made.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    found = Asker(tmp_path_factory.mktemp("console"))
    yield found
    found.close()


def tampered(cursor: str) -> st.SearchStrategy[str]:
    """Return cursors that are nearly a real one."""
    places = st.integers(0, len(cursor) - 1)
    swapped = st.builds(lambda at, by: cursor[:at] + by + cursor[at + 1 :], places, st.characters())
    return st.one_of(swapped.filter(lambda one: one != cursor), places.map(lambda at: cursor[:at]))


@FUZZED
@given(data=st.data(), path=st.sampled_from(LISTS))
def test_a_cursor_of_ones_own_is_refused(asker: Asker, data: st.DataObject, path: str) -> None:
    rig, run = asker.rig, asker.runner.run
    page = run(rig.ask(path, Role.OPERATOR, params={"limit": 1})).json()
    cursor = data.draw(st.one_of(st.text(max_size=600), tampered(page["next_cursor"])))
    answer = run(rig.ask(path, Role.OPERATOR, params={"limit": 1, "cursor": cursor}))
    assert answer.status_code in (400, 422), answer.text
    assert [one["field"] for one in answer.json()["errors"]] == ["cursor"]


@FUZZED
@given(place=st.lists(st.integers(0, 2**53), max_size=3), name=st.text(), other=st.text())
def test_a_cursor_is_good_for_its_list_alone(place: list[int], name: str, other: str) -> None:
    cursors = Cursors(b"k" * 32)
    made = cursors.make(name, place)
    assert cursors.read(made, name, list[int]) == place
    wrong = [(Cursors(b"l" * 32), name)] + ([(cursors, other)] if other != name else [])
    for reader, of in wrong:
        with pytest.raises(Problem):
            reader.read(made, of, list[int])


@FUZZED
@given(
    key=st.one_of(
        st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=200),
        st.from_regex(r"gw_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", fullmatch=True),
        st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()),
    )
)
def test_a_key_of_ones_own_opens_nothing(asker: Asker, key: str) -> None:
    rig, run = asker.rig, asker.runner.run
    asker.rig.clock.advance(60)  # the rate of wrong keys has a test of its own
    sent = {"Authorization": b"Bearer " + key.encode("latin-1")}
    answer = run(rig.client.get("/api/v1/alerts", headers=sent))
    assert answer.status_code == 401, answer.text
    page = run(rig.client.post("/sign-in", data={"key": key}))
    assert page.status_code == 403


OPERATIONS = (
    ("GET", "/api/v1/health"),
    ("GET", "/api/v1/queries"),
    ("POST", "/api/v1/queries/check"),
    ("GET", "/api/v1/queries/{name}/windows"),
    ("GET", "/api/v1/queries/{name}/posts"),
    ("GET", "/api/v1/alerts"),
    ("GET", "/api/v1/alerts/{alert_id}"),
    ("GET", "/api/v1/quality"),
    ("GET", "/api/v1/keys"),
    ("GET", "/api/v1/pipeline"),
    ("GET", "/api/v1/dead-posts"),
    ("POST", "/api/v1/dead-posts/{place}/replay"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedConsole]:
    data = MemoryData(kept=hour_of_panes(30), past=[past_alert(n) for n in (1, 2, 3)], dead=DEAD)
    with pytest.MonkeyPatch.context() as changed:
        # Each call is tried with a wrong key too, and all come from one address.
        changed.setattr(process, "FAILURES_PER_MINUTE", 1_000_000)
        with served_console(tmp_path_factory.mktemp("served"), data) as found:
            yield found


@pytest.fixture(scope="module")
def schema(served: ServedConsole) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{served.base}/api/v1/openapi.json")


def test_every_documented_call_is_tried(schema: schemathesis.BaseSchema) -> None:
    found = {(one.ok().method.upper(), one.ok().path) for one in schema.get_all_operations()}
    # What goes on for ever has tests of its own.
    assert found == {*OPERATIONS, ("GET", "/api/v1/queries/{name}/live")}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_calls_are_answered_as_the_document_says(
    served: ServedConsole, schema: schemathesis.BaseSchema, method: str, path: str
) -> None:
    operation = schema[path][method]

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def answers_as_documented(case: schemathesis.Case) -> None:
        key = served.keys[Role.OPERATOR]
        case.call_and_validate(
            base_url=served.base, headers={"Authorization": f"Bearer {key}"},
            # That a cursor is none of ours, a range ends before it begins: no schema says it.
            excluded_checks=[positive_data_acceptance],
        )  # fmt: skip

    answers_as_documented()


FORMS = ("/sign-in", "/queries", "/sign-out", "/pipeline/replay")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FIELDS = st.lists(
    st.tuples(
        st.sampled_from(("key", "again", "expression", "text", "place", "record", "&", "=", "%")),
        st.text(),
    ),
    max_size=30,
)


@FUZZED
@given(
    body=st.one_of(
        st.binary(max_size=400),
        FIELDS.map(lambda rows: "&".join(f"{name}={said}" for name, said in rows).encode()),
        FIELDS.map(lambda rows: urlencode(rows, errors="replace").encode()),
    ),
    path=st.sampled_from(FORMS),
    signed_in=st.booleans(),
)
def test_a_form_of_ones_own_is_answered(
    asker: Asker, body: bytes, path: str, signed_in: bool
) -> None:
    rig, run = asker.rig, asker.runner.run
    asker.rig.clock.advance(60)
    rig.client.cookies.clear()
    if signed_in:
        run(rig.sign_in(Role.OPERATOR))
    answer = run(rig.client.post(path, content=body, headers=FORM))
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/queries"])
def test_a_form_of_many_fields_or_another_kind_is_refused(asker: Asker, path: str) -> None:
    rig, run = asker.rig, asker.runner.run
    run(rig.sign_in(Role.OPERATOR))
    many = "&".join(f"a{n}=1" for n in range(9)).encode()
    refused = run(rig.client.post(path, content=many, headers=FORM))
    assert refused.status_code == 422
    assert "at most 8 fields" in refused.text
    other = {"Content-Type": "multipart/form-data; boundary=x"}
    assert run(rig.client.post(path, content=many, headers=other)).status_code == 415
