"""Adapters that write as a person would: spans, padding, learning, going on, what is left."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from models.popalm.training.decoder import ReplyDecoder, load_decoder
from models.popalm.training.loop import read_steps
from models.socialalign.persona_reply import Part, PersonReply, write_person_replies
from models.socialalign.training.examples import (
    batch_of,
    person_example,
    reply_log_probabilities,
    swapped,
)
from models.socialalign.training.pac import Adapted, PacTrainingSettings, app, train_pac
from tests.models.popalm.training.tiny import tiny_folder

pytestmark = pytest.mark.train
torch.set_num_threads(1)
VARIANTS = ("plain", "released", "sequence")
PEOPLE = ("likes cats | a cat again", "likes tea")


def replies(number: int, part: Part = "learn") -> list[PersonReply]:
    """Replies that follow from who writes."""
    return [
        PersonReply(part, "set", f"topic {row % 3}", PEOPLE[row % 2], f"post {row}",
                    ("yes sir", "no no")[row % 2])
        for row in range(number)
    ]  # fmt: skip


def settings(variant: str, steps: int = 6) -> PacTrainingSettings:
    return PacTrainingSettings(
        variant=variant, steps=steps, batch=4, rank=2, first_layer=0, learning_rate=0.02,
        checkpoint_every=2, seed=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def decoder(folder: Path) -> ReplyDecoder:
    return load_decoder(folder)


def test_spans_hold_the_person_and_the_post_and_nothing_else(decoder: ReplyDecoder) -> None:
    rows = [PersonReply("learn", "s", "t", "cats<|im_end|> and tea", "rain again", "yes")]
    rows += replies(1)
    batch = batch_of(decoder, [person_example(decoder, one) for one in rows])
    for row, one in enumerate(rows):
        said = decoder.text_of(batch.tokens[row][batch.spans.user[row]].tolist())
        assert said == one.person.replace("<|im_end|>", "").replace("  ", " ")
        assert decoder.text_of(batch.tokens[row][batch.spans.news[row]].tolist()) == one.post
    assert not (batch.spans.user & batch.spans.news).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_reply_is_as_likely_in_any_company(folder: Path, variant: str) -> None:
    adapted = Adapted(load_decoder(folder), settings(variant))
    torch.manual_seed(0)
    for one in adapted.parameters.values():
        torch.nn.init.normal_(one, std=0.2)
    rows = replies(5)
    rows.append(
        PersonReply("learn", "set", "t", PEOPLE[0] * 3, "a longer post of more words", "no")
    )
    examples = [person_example(adapted.decoder, one) for one in rows]
    together = adapted.log_likelihoods(examples, 6)
    alone = adapted.log_likelihoods(examples, 1)
    assert together == pytest.approx(alone, abs=1e-4)


def test_without_adapter_the_likelihood_is_that_of_the_decoder(decoder: ReplyDecoder) -> None:
    examples = [person_example(decoder, one) for one in replies(3)]
    with torch.no_grad():
        own = reply_log_probabilities(decoder, batch_of(decoder, examples)).sum(1)
        read = decoder.padded([one.reply for one in examples])
        known, _hidden = decoder.outputs([one.prompt for one in examples], read)
    torch.testing.assert_close(own, (known * read.mask).sum(1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_follows_from_the_person_is_learnt(folder: Path, tmp_path: Path, variant: str) -> None:
    adapted, _loop = train_pac(load_decoder(folder), replies(24), tmp_path, settings(variant, 30))
    losses = [row["loss"] for row in read_steps(tmp_path)]
    assert losses[-1] < losses[0] - 1
    judged = replies(8, "judge")
    own = adapted.log_likelihoods([person_example(adapted.decoder, one) for one in judged], 8)
    others = [person_example(adapted.decoder, one) for one in swapped(judged, 0)]
    assert sum(own) > sum(adapted.log_likelihoods(others, 8)) + 1


def test_a_stopped_training_ends_as_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    rows, own = replies(24), settings("sequence")
    train_pac(load_decoder(folder), rows, tmp_path / "whole", own)
    # The state of a step that was not the last of a call is lost with it.
    for limit_s in (1e-9, 0.05, 0.05, 0.0):
        train_pac(load_decoder(folder), rows, tmp_path / "parts", own, limit_s=limit_s)
    losses = [[row["loss"] for row in read_steps(tmp_path / name)] for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_nobody_is_swapped_for_themselves() -> None:
    rows = replies(9, "judge")
    for one, other in zip(rows, swapped(rows, 5), strict=True):
        assert one.person != other.person
        assert (one.post, one.reply) == (other.post, other.reply)


def test_what_is_said_of_replies_is_left_for_those_without_torch(
    folder: Path, tmp_path: Path
) -> None:
    rows = [*replies(8), *replies(2, "validate"), *replies(4, "judge")]
    file = tmp_path / "persons.jsonl"
    write_person_replies(file, rows)
    told = CliRunner().invoke(app, [
        "--variant", "sequence", "--replies", str(file), "--out", str(tmp_path / "out"),
        "--decoder", str(folder), "--steps", "2", "--batch", "4", "--rank", "2",
        "--first-layer", "0", "--cpu-threads", "1", "--base", "tests/tiny",
    ])  # fmt: skip
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "out/likelihoods/sequence-1.json").read_text())
    assert found["decoder"] == "tests/tiny"
    assert [len(found[name]) for name in ("own", "swapped", "tokens")] == [4, 4, 4]
    assert sorted(found["experts"]) == ["topic 0", "topic 1", "topic 2"]
    for shares in found["experts"].values():
        assert sum(shares["writing"]) == pytest.approx(1, abs=1e-3)
