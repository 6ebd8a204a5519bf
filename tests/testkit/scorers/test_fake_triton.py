"""The real scorer against a server of Triton's protocol that answers every kind of nonsense."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import InferResult

from core.clock import ManualClock
from core.errors import InvalidAnswer, ScorerRefused, ScorerUnavailable
from core.heads import HEADS
from core.metrics import Metrics
from core.ports import Scorer
from models.scorers.triton import TritonScorer
from models.scorers.triton_client import ServedModel
from stream.worker.scoring import PatientScorer
from testkit.builders import NOON
from testkit.chaos.proxy import TcpProxy
from testkit.models import (
    Check,
    NonsenseCheck,
    gives_a_text_the_same_bits_in_any_batch,
    gives_as_many_scores_as_posts,
    is_ready_when_open,
    nonsense_checks,
    reports_its_model_version,
    scores_an_empty_batch,
)
from testkit.scorers.fake import FakeScorer
from testkit.scorers.fake_triton import ERRORS, NONSENSE, FakeTriton, to_message
from testkit.scorers.nonsense import RATED, VERSION, Answer

TEXTS = [f"the trains are late, number {number}" for number in range(10)]
LANGS = ["en"] * len(TEXTS)


class Bench:
    """A server, and the scorers that ask it."""

    def __init__(self) -> None:
        self.server = FakeTriton()
        self.noted: list[tuple[str, int]] = []
        self._scorers: list[TritonScorer] = []

    def scorer(self, port: int = 0, timeout_s: float = 60.0, version: str = "") -> TritonScorer:
        url = f"127.0.0.1:{port or self.server.port}"
        self._scorers.append(TritonScorer(url, timeout_s=timeout_s, version=version))
        return self._scorers[-1]

    def answering(self, spoil: Callable[[Answer], Answer]) -> Scorer:
        self.server.manners.spoil = spoil
        return self.scorer()

    async def close(self) -> None:
        for scorer in self._scorers:
            await scorer.close()
        await self.server.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.server.start()
    yield made
    await made.close()


@pytest.mark.parametrize(
    "check",
    [
        is_ready_when_open,
        gives_as_many_scores_as_posts,
        scores_an_empty_batch,
        reports_its_model_version,
        gives_a_text_the_same_bits_in_any_batch,
    ],
    ids=lambda check: check.__name__,
)
async def test_told_nothing_the_server_lets_its_scorer_keep_the_contract(
    check: Check, bench: Bench
):
    await check(bench.scorer())


async def test_the_scores_are_those_of_the_fake(bench: Bench):
    found = await bench.scorer().score_batch(TEXTS, LANGS)
    wanted = await FakeScorer().score_batch(TEXTS, LANGS)
    assert found.model_version == wanted.model_version
    assert found.rated.tolist() == wanted.rated.tolist()
    for name, values in wanted.heads.items():
        assert found.heads[name].tobytes() == values.tobytes()


@pytest.mark.parametrize(("check", "kind"), nonsense_checks(), ids=lambda value: str(value)[:20])
async def test_triton_keeps_nonsense_out(check: NonsenseCheck, kind: str, bench: Bench):
    await check(kind, bench.answering)


async def test_rows_too_many_and_too_few_do_not_cancel_between_the_pieces_of_a_batch(bench: Bench):
    server = FakeTriton(max_batch=5)
    answers = iter([np.array([0, 1, 2, 3, 4, 4]), np.arange(4)])

    def of_other_rows(answer: Answer) -> Answer:
        rows = next(answers)
        return {name: values[rows] for name, values in answer.items()}

    server.manners.spoil = of_other_rows
    await server.start()
    try:
        with pytest.raises(InvalidAnswer, match="shape"):
            await bench.scorer(server.port).score_batch(TEXTS, LANGS)
    finally:
        await server.stop()


async def test_of_an_empty_batch_the_answer_is_checked_too(bench: Bench):
    for kind in ("row-more", "row-less", "label-more", "version", "type", "empty"):
        bench.server.manners.kind = kind
        with pytest.raises(InvalidAnswer):
            await bench.scorer().score_batch([], [])


def _on_output(name: str, change: Callable[[Any, int], object]) -> Callable[[Any], Any]:
    """Change the output of this name, which is given with its place, in a message."""

    def changed(message: Any) -> Any:
        change(message, [output.name for output in message.outputs].index(name))
        return message

    return changed


def _again(message: Any, at: int) -> None:
    message.outputs.add().CopyFrom(message.outputs[at])
    message.raw_output_contents.append(message.raw_output_contents[at])


def _left_out(message: Any, at: int) -> None:
    del message.outputs[at]
    del message.raw_output_contents[at]


def _raw(value: bytes) -> Callable[[Any, int], None]:
    return lambda message, at: message.raw_output_contents.__setitem__(at, value)


WIRE = {
    "an output twice": (_on_output("emotion", _again), "second or unknown output emotion"),
    "an output left out": (_on_output("emotion", _left_out), "no output emotion"),
    "rated left out": (_on_output(RATED, _left_out), "no output RATED"),
    "no version": (_on_output(VERSION, _left_out), "no output MODEL_VERSION"),
    "an output of another name": (
        _on_output("emotion", lambda m, at: setattr(m.outputs[at], "name", "mood")),
        "no output emotion",
    ),
    "no contents at all": (
        _on_output("emotion", lambda m, _: m.ClearField("raw_output_contents")),
        "cannot be read",
    ),
    "too few bytes": (_on_output("emotion", _raw(b"\0" * 7)), "emotion that cannot be read"),
    "no bytes": (_on_output("emotion", _raw(b"")), "emotion that cannot be read"),
    "more bytes than were asked for": (
        _on_output("emotion", _raw(b"\0" * 4_000_000)),
        "larger than max",
    ),
    "an unknown type": (
        _on_output("emotion", lambda m, at: setattr(m.outputs[at], "datatype", "FP4")),
        "emotion of type FP4",
    ),
    "doubles of no type": (
        _on_output(
            "problem",
            lambda m, at: (
                setattr(m.outputs[at], "datatype", ""),
                m.raw_output_contents.__setitem__(at, np.full(len(TEXTS), 0.5).tobytes()),
            ),
        ),
        "problem of type",
    ),
    "doubles called floats": (
        _on_output("emotion", lambda m, at: setattr(m.outputs[at], "datatype", "FP64")),
        "emotion that cannot be read",
    ),
    "floats called integers": (
        _on_output("emotion", lambda m, at: setattr(m.outputs[at], "datatype", "INT32")),
        "emotion of type int32",
    ),
    "rated as a number": (
        _on_output(RATED, lambda m, at: setattr(m.outputs[at], "datatype", "INT8")),
        "RATED of type int8",
    ),
    "a version of broken lengths": (_on_output(VERSION, _raw(b"\xff\xff\xff\x7fab")), VERSION),
    "another model": (_on_output(RATED, lambda m, _: setattr(m, "model_name", "x")), "model x"),
    "nothing": (_on_output(RATED, lambda m, _: m.Clear()), "no output"),
}


@pytest.mark.parametrize("what", WIRE)
async def test_a_message_that_is_no_answer_is_refused_by_name(what: str, bench: Bench):
    scorer = bench.scorer()
    await scorer.score_batch(TEXTS, LANGS)
    bench.server.manners.change, said = WIRE[what]
    with pytest.raises(InvalidAnswer) as refused:
        await scorer.score_batch(TEXTS, LANGS)
    assert said in str(refused.value)
    assert TEXTS[0] not in str(refused.value)
    bench.server.manners.change = None
    assert (await scorer.score_batch(TEXTS, LANGS)).wrong == {}


_OUTPUTS = (RATED, VERSION, *HEADS)
_changes = st.lists(
    st.tuples(
        st.sampled_from(_OUTPUTS),
        st.one_of(
            st.tuples(
                st.just("datatype"),
                st.sampled_from(["", "BOOL", "INT8", "FP16", "FP32", "FP64", "BF16", "BYTES", "?"]),
            ),
            st.tuples(
                st.just("shape"), st.lists(st.integers(-2, 2**62) | st.integers(-1, 6), max_size=3)
            ),
            st.tuples(st.just("raw"), st.binary(max_size=40)),
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(_changes)
def test_whatever_message_comes_it_is_scores_or_no_answer(changes: Any):
    rows = 3
    right: Answer = {
        RATED: np.ones((rows, 1), bool),
        VERSION: np.full((rows, 1), b"m-1", object),
        **{
            name: np.full((rows, len(labels)), 1 / len(labels), np.float32)
            for name, labels in HEADS.items()
        },
    }
    message = to_message(right, "post_encoder", "1")
    for name, (what, value) in changes:
        at = _OUTPUTS.index(name)
        if what == "raw":
            message.raw_output_contents[at] = value
        elif what == "shape":
            del message.outputs[at].shape[:]
            message.outputs[at].shape.extend(value)
        else:
            message.outputs[at].datatype = value
    scorer = TritonScorer("127.0.0.1:1")
    try:
        batch = scorer._read(ServedModel(tuple(HEADS), 8, ""), InferResult(message), rows)
    except InvalidAnswer:
        return
    assert batch.rated.shape == (rows,)
    for name, values in batch.heads.items():
        assert values.shape == (rows, len(HEADS[name]))
        assert ((values >= 0) & (values <= 1)).all()


async def test_another_version_than_the_one_asked_for_is_refused(bench: Bench):
    scorer = bench.scorer(version="2")
    await scorer.score_batch(TEXTS, LANGS)
    bench.server.manners.change = _on_output(
        RATED, lambda message, _: setattr(message, "model_version", "1")
    )
    with pytest.raises(InvalidAnswer, match="version 1, expected 2"):
        await scorer.score_batch(TEXTS, LANGS)


async def test_a_model_that_is_replaced_is_asked_about_and_then_believed(bench: Bench):
    scorer = bench.scorer()
    await scorer.score_batch(TEXTS, LANGS)
    bench.server._fake.version = "fake-2"
    with pytest.raises(InvalidAnswer, match="fake-2, expected fake-1"):
        await scorer.score_batch(TEXTS, LANGS)
    assert (await scorer.score_batch(TEXTS, LANGS)).model_version == "fake-2"


async def test_of_a_version_that_we_choose_the_configuration_tells_nothing(bench: Bench):
    bench.server.manners.kind = "version"  # of the two in its folder it describes the other
    found = await bench.scorer(version="1").score_batch(TEXTS, LANGS)
    assert found.model_version == "another-9"


async def test_a_model_without_any_of_our_heads_is_unavailable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("testkit.scorers.fake_triton.HEADS", {"weather": ("rain",)})
    with pytest.raises(InvalidAnswer, match=r"weather.*expected some of sentiment"):
        await bench.scorer().score_batch(TEXTS, LANGS)


async def test_bytes_that_are_no_message_are_refused_and_a_batch_too_large_is_halved():
    class Garbage(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            async def answer(request: bytes, context: Any) -> bytes:
                return b"\xff\xff\xff no message"

            # The request is bounded by the server below, as Triton bounds it.
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 4_000)])
    server.add_generic_rpc_handlers((Garbage(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    fake = FakeTriton()
    await fake.start()
    scorer = TritonScorer(f"127.0.0.1:{port}", timeout_s=60.0)
    learnt = TritonScorer(f"127.0.0.1:{fake.port}", timeout_s=60.0)
    try:
        with pytest.raises(InvalidAnswer, match="no message"):
            await scorer.score_batch(TEXTS, LANGS)
        scorer._served = await learnt._learn()
        with pytest.raises(InvalidAnswer, match="no message"):
            await scorer.score_batch(TEXTS, LANGS)
        scorer._served = await learnt._learn()
        with pytest.raises(ScorerRefused, match="SERVER"):
            await scorer.score_batch(TEXTS * 40, LANGS * 40)
    finally:
        await scorer.close()
        await learnt.close()
        await server.stop(None)
        await fake.stop()


async def test_an_answer_that_comes_byte_by_byte_ends_at_the_timeout(bench: Bench):
    proxy = TcpProxy(bench.server.port)
    await proxy.start()
    try:
        scorer = bench.scorer(proxy.port, timeout_s=60.0)
        await scorer.score_batch(TEXTS, LANGS)
        proxy.drip_s = 0.01
        scorer._timeout_s = 0.5  # of 2,000 bytes a few dozen have come by then
        with pytest.raises(ScorerUnavailable, match="DEADLINE_EXCEEDED"):
            await scorer.score_batch(TEXTS, LANGS)
        proxy.drip_s = 0.0
        scorer._timeout_s = 60.0
        assert (await scorer.score_batch(TEXTS, LANGS)).wrong == {}
    finally:
        await proxy.stop()


@pytest.mark.parametrize("kind", [*NONSENSE, ERRORS])
async def test_nonsense_is_waited_out_or_left_out_and_never_asked_about_in_halves(
    kind: str, bench: Bench
):
    metrics, clock = Metrics(), ManualClock(NOON)
    patient = PatientScorer(bench.scorer(), clock, metrics)
    server, sleeps = bench.server, []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 3:
            server.manners.kind = ""
        await asyncio.sleep(0)

    clock.sleep = sleep  # type: ignore[method-assign]
    server.manners.kind = kind
    scored = await patient.score(TEXTS, LANGS)
    value = metrics.registry.get_sample_value
    retries = value("groundswell_scorer_retries_total")
    if sleeps:  # the answer as a whole was none: three tries with pauses, then the right one
        assert (retries, len(sleeps)) == (3, 3)
        assert min(sleeps) > 0
        assert scored.unscored == {}
        invalid = value("groundswell_scorer_invalid_answers_total")
        assert invalid == (0 if kind == ERRORS else 3)
    else:
        assert retries == 0
        assert scored.scores is not None
        assert 0 < len(scored.unscored) < len(TEXTS)
        assert len(scored.scores.rated) == len(TEXTS) - len(scored.unscored)
    assert value("groundswell_scorer_up") == 1


async def test_the_server_is_told_how_long_anybody_waits(bench: Bench) -> None:
    await bench.scorer(timeout_s=2.5).score_batch(["a"], [""])
    assert bench.server.last_timeout_us == 2_500_000
