"""What `docs/models-evaluation.md` says in figures stands in published files and in the code."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "models-evaluation.md").read_text(encoding="utf-8")
MEASURED = {
    "evaluation": ROOT / "models" / "weights" / "post-encoder" / "evaluation.json",
    "shares": ROOT / "benchmarks" / "results" / "models" / "shares.json",
    "centroid": ROOT / "benchmarks" / "results" / "models" / "baseline-centroid.json",
}

# What the page says, with the figures in braces, and the file that they are in.
SAID = [
    ("evaluation", "always saying none reaches {participation_binary_always_none_weighted_f1:.3f}"),
    ("evaluation",
     "F1 {topics_model_micro_f1:.3f} [{topics_model_micro_f1_low:.3f}, "
     "{topics_model_micro_f1_high:.3f}]"),
    ("evaluation", "on the bare backbone {topics_knn_micro_f1:.3f}"),
    ("evaluation", "average precision is {participation_binary_model_average_precision:.3f}"),
    ("evaluation",
     "TF-IDF's at best {participation_binary_tfidf_layered_average_precision:.3f}"),
    ("centroid",
     "weighted F1 {participation_binary_centroid_weighted_f1:.3f} "
     "[{participation_binary_centroid_weighted_f1_low:.3f}, "
     "{participation_binary_centroid_weighted_f1_high:.3f}]"),
    ("centroid",
     "F1 of participation of {participation_binary_centroid_f1_participation:.3f} only"),
    ("centroid", "the centroid's {participation_binary_centroid_average_precision:.3f}"),
    ("shares",
     "| negative sentiment | {shares_sentiment_negative_cc_all:.3f} "
     "| {shares_sentiment_negative_pcc_all:.3f} | {shares_sentiment_negative_pacc_all:.3f} "
     "({sentiment_negative_ratio:.2f} of counting) | {shares_sentiment_negative_local_all:.3f} "
     "(**{sentiment_negative_local_ratio:.2f}**) |"),
    ("shares",
     "| participating | {shares_participation_participating_cc_all:.3f} "
     "| {shares_participation_participating_pcc_all:.3f} "
     "| {shares_participation_participating_pacc_all:.3f} "
     "({participation_participating_ratio:.2f}; not shipped) "
     "| {shares_participation_participating_local_all:.3f} "
     "({participation_participating_local_ratio:.2f};"),
    ("shares",
     "anger {emotion_anger_ratio:.2f}, optimism {emotion_optimism_ratio:.2f}, "
     "sadness {emotion_sadness_ratio:.2f} of counting"),
    ("shares", "hardly miscounted, {emotion_joy_ratio:.2f})"),
]  # fmt: skip

# A baseline, the file of its settings, and what its row says of them.
DEFAULTS = [
    ("roberta", "sequence.py", ["{epochs:g} epochs", "batch {batch_posts}", "{learning_rate}",
                                "{max_tokens} tokens", "seed {seed}"]),
    ("llm-sft", "language_model.py",
     ["r {rank}", "alpha {alpha:g}", "dropout {dropout:g}", "{epochs:g} epochs",
      "{batch_posts} x {accumulate}", "{learning_rate} {schedule}", "{max_tokens} tokens"]),
    ("llm-dpo", "language_model.py",
     ["beta {beta:g}", "{dpo_epochs:g} epochs", "two wrong answers"]),
]  # fmt: skip


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("file", "said"), SAID, ids=[said[:40] for _, said in SAID])
def test_figures_of_the_page_are_those_that_were_measured(file: str, said: str) -> None:
    figures = json.loads(MEASURED[file].read_text(encoding="utf-8"))["figures"]
    assert said.format(**figures) in one_line(PAGE)


def defaults_of(*files: str) -> dict[str, object]:
    """Return the defaults of the settings in these files, which need torch to be imported."""
    found: dict[str, object] = {}
    for file in files:
        path = ROOT / "evaluation" / "baselines" / file
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        assert field.value is not None
                        found[field.target.id] = ast.literal_eval(field.value)
    return found


@pytest.mark.parametrize(("name", "file", "words"), DEFAULTS, ids=[name for name, *_ in DEFAULTS])
def test_defaults_of_the_page_are_those_of_the_code(name: str, file: str, words: list[str]) -> None:
    row = re.search(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
    assert row is not None
    found = defaults_of("fitting.py", file)
    rate = f"{found['learning_rate']:.0e}".replace("e-0", "e-")
    for word in words:
        assert word.format(**found | {"learning_rate": rate}) in row[0]
