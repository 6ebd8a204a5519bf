"""Head scores of recorded posts are those of the built encoder, made once."""

from pathlib import Path

import numpy as np
import pytest

from core.heads import HEADS
from core.schemas import MICRO
from models.build import MODEL_NAME
from models.engagement.features import HEADS_USED
from models.engagement.training.heads import head_scores
from models.engagement.training.sets import read_set, rows_of, set_file
from models.serving.post_encoder import open_service
from testkit.scorers.untrained import write_set

pytestmark = pytest.mark.server


def test_scores_are_made_once_and_are_those_of_the_encoder_in_micro_units(
    built_repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = built_repository / MODEL_NAME / "1"
    write_set(tmp_path, "made", days=4)
    posts = read_set(tmp_path, "made")
    heads, rated = head_scores(tmp_path, posts, tmp_path / "cache", encoder)
    said = capsys.readouterr().err
    assert "scoring 12 posts, about" in said
    assert "12 posts in" in said
    texts = [row["text"] for row in rows_of(set_file(tmp_path, "made"))]
    scored = open_service(encoder, 1).score(texts, [""] * len(texts))
    of_heads = np.concatenate([scored.heads[head] for head in HEADS_USED], axis=1)
    np.testing.assert_allclose(heads, of_heads[posts.rows], atol=0.6 / MICRO)
    np.testing.assert_array_equal(rated, scored.rated[posts.rows])
    assert heads.shape[1] == sum(len(HEADS[head]) for head in HEADS_USED)
    monkeypatch.setattr("models.serving.post_encoder.open_service", lambda *_: pytest.fail("again"))
    again, _ = head_scores(tmp_path, posts, tmp_path / "cache", encoder)
    np.testing.assert_array_equal(again, heads)
