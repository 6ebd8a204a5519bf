"""Kill tests on a real stack; and the kill test itself is tried on three broken protocols."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.local.paths import PROJECT_ROOT
from testkit.chaos.faults import FAULTS, never_fired
from testkit.chaos.run import ChaosOptions, Outcome, run_chaos
from testkit.scorers.nonsense import ROW_KINDS

pytestmark = pytest.mark.integration

PROTOCOL = {"worker-stopped": 2, "worker-killed": 1, "redis-emptied": 1}
"""What the mutations break under, every time: the stand-in thinks for so long about a batch that a
worker holds several whenever it is stopped or killed, and an emptied store must be sought in."""
PATIENCE_S = 90.0


def _options(root: Path, wanted: dict[str, int], **changes: object) -> ChaosOptions:
    options = ChaosOptions(
        posts=1_500,
        seed=4,
        wanted=wanted,
        scorer_delay_ms=600,
        # How fast it comes back is measured elsewhere, on a machine that does nothing else.
        give_up_s=PATIENCE_S,
        resume_limit_s=PATIENCE_S,
        root=root / "chaos",
        posts_per_s=90,
        settings={"kafka.session_timeout_s": 2, "scorer.timeout_s": 20},
    )
    return replace(options, **changes)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(options: ChaosOptions) -> Outcome:
    outcome = run_chaos(options, _say)
    fired = [fault.planned.kind for fault in outcome.run.fired]
    _say(f"{outcome.faults} {outcome.figures()}")
    if not outcome.run.stuck:
        assert never_fired(options.wanted, fired) == []
    return outcome


def _mutated(root: Path, changes: dict[str, list[tuple[str, str]]]) -> Path:
    """Return a copy of the code in which each passage, found exactly once, is replaced."""
    code = root / "code"
    for name in ("core", "stream", "models", "services", "configs"):
        shutil.copytree(
            PROJECT_ROOT / name,
            code / name,
            ignore=shutil.ignore_patterns("__pycache__", "weights"),
        )
    for name, passages in changes.items():
        text = (code / name).read_text()
        for before, after in passages:
            assert text.count(before) == 1, f"{name} no longer has once: {before}"
            text = text.replace(before, after)
        (code / name).write_text(text)
    return code


def test_the_protocol_as_it_is_survives_the_schedule_of_the_mutations(tmp_path: Path):
    outcome = _run(_options(tmp_path, PROTOCOL))
    assert outcome.faults == []
    figures = outcome.figures()
    # The schedule was a test: something on its way was lost, refused and done again.
    assert figures["applies_refused"] > 0
    assert figures["scored_again"] > 0


def test_killed_servers_and_a_killed_source_lose_and_double_nothing(tmp_path: Path):
    parts = ("broker", "redis", "scorer", "ingest", "forecaster", "responder")
    wanted = {f"{part}-killed": 1 for part in parts}
    # The broker last: what ingest keeps while it is away comes at once, and passes other faults by.
    options = _options(tmp_path, wanted, seed=14, scorer_delay_ms=50.0, posts_per_s=110.0)
    outcome = _run(options)
    assert outcome.faults == []
    figures = outcome.figures()
    # The forecaster's books were of something: posts were forecast, and some were deleted.
    assert figures["forecasts_tracked"] > 500
    assert figures["forecasts_gone"] > 0
    # And so were the responder's.
    assert figures["responses_withdrawn"] > 0
    # A busy machine may generate nothing: the model rests while posts wait to be counted.
    assert min(figures[f"responses_shown.{kind}"] for kind in ("real", "quoted")) > 0


def test_two_scorers_killed_and_stopped_in_turn_hold_no_post_up(tmp_path: Path):
    wanted = {"scorer-killed": 2, "scorer-stopped": 2}
    outcome = _run(
        _options(
            tmp_path, wanted, scorers=2, scorer_delay_ms=50.0, posts_per_s=50.0,
            settings={"scorer.timeout_s": 5},
        )
    )  # fmt: skip
    assert outcome.faults == []
    hit = {(fault.planned.kind, fault.target) for fault in outcome.run.fired}
    assert hit == {(kind, target) for kind in wanted for target in ("scorer-1", "scorer-2")}
    figures = outcome.figures()
    assert figures["scorer_servers_left_out"] >= 4
    # No batch came back to its worker: the other scorer answered, also for the one that hung.
    assert figures["scorer_retries"] == 0
    assert figures["scorer_asked_again"] > 0


NONSENSE = [kind for kind, fault in FAULTS.items() if fault.how in ("answers", "drip")]


def test_every_kind_of_nonsense_of_the_scorer_spoils_its_rows_and_nothing_else(tmp_path: Path):
    """Short of each; `groundswell chaos --lasting-s 60` has the long form."""
    outcome = _run(
        _options(
            tmp_path,
            dict.fromkeys(NONSENSE, 1),
            posts=3_000,
            scorer_delay_ms=5.0,
            lasting_s=1.0,
            settings={"scorer.timeout_s": 1},
        )
    )
    assert outcome.faults == []
    figures = outcome.figures()
    for kind in ROW_KINDS:
        assert figures[f"rows_answered_wrongly.{kind}"] > 0, kind
        assert figures[f"letters_invalid_score.{kind}"] > 0, kind
    assert figures["scorer_invalid_answers"] > 0
    assert figures["dead.invalid_score"] > 0


def test_overwritten_state_is_named_set_aside_and_repaired(tmp_path: Path):
    """A pane, a contribution and a cursor, twice, while posts flow."""
    wanted = {"redis-rubbish": 2}
    outcome = _run(_options(tmp_path, wanted, scorer_delay_ms=50.0, posts_per_s=110.0))
    assert outcome.faults == []
    logs = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*.log"))
    assert "groundswell windows repair" in logs


def test_apply_without_compare_is_caught(tmp_path: Path):
    """A worker that wakes up applies what its successor has applied: posts are counted twice."""
    code = _mutated(
        tmp_path,
        {"stream/store/apply.lua": [("if stored ~= b.expected then", "if false then")]},
    )
    outcome = _run(_options(tmp_path, PROTOCOL, code=code))
    assert any("every counter of every pane" in fault for fault in outcome.faults), outcome.faults


def test_a_cursor_that_moves_before_its_batch_is_caught(tmp_path: Path):
    """The cursor is committed when a batch is formed: a killed worker's batches are lost."""
    code = _mutated(
        tmp_path,
        {
            "stream/worker/flow.py": [
                (
                    "            await self._chain.prepare(batch, self._patiently)\n",
                    "            await self._chain.prepare(batch, self._patiently)\n"
                    "            await self._patiently(\n"
                    "                lambda: self._parts.store.commit(\n"
                    "                    self.partition, self.topic, batch.apply.new\n"
                    "                )\n"
                    "            )\n",
                )
            ],
            "stream/store/redis_store.py": [
                (
                    "    async def apply(self,",
                    "    async def commit(self, partition, topic, last):\n"
                    "        await self._redis.hset(keys.cursor(partition), topic, last)\n\n"
                    "    async def apply(self,",
                )
            ],
            "stream/store/apply.lua": [
                ("if stored ~= b.expected then", "if stored < b.new then"),
                (
                    "redis.call('HSET', cursor_key, b.topic, b.new, 'w",
                    "redis.call('HSET', cursor_key, 'w",
                ),
            ],
        },
    )
    outcome = _run(_options(tmp_path, PROTOCOL, code=code))
    lost = ("every accepted post and edit is scored", "every counter of every pane")
    assert any(claim in fault for fault in outcome.faults for claim in lost), outcome.faults


def test_a_seek_left_out_is_caught(tmp_path: Path):
    """An emptied store asks for the first record again; without the seek nobody fetches it."""
    code = _mutated(
        tmp_path,
        {
            "stream/runtime/transport.py": [
                ("            await self.seek_wait({tp: offset})\n", "            pass\n")
            ]
        },
    )
    # One worker, and time for it: who takes over from another, at the start or from one that is
    # only slow, needs the seek too, and the run would be stuck before the fault.
    settings = {"kafka.session_timeout_s": 20, "scorer.timeout_s": 20}
    wanted = {"redis-emptied": 1}
    options = _options(tmp_path, wanted, code=code, workers=1, give_up_s=30, settings=settings)
    outcome = _run(options)
    assert "counting did not go on" in outcome.run.stuck
    assert [fault.planned.kind for fault in outcome.run.fired] == ["redis-emptied"]
