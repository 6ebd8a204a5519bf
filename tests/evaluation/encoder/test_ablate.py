import csv
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from evaluation.encoder import ablate, masked
from models.backbone import Backbone, find_backbone, verify
from models.encoder import data as datasets
from models.encoder.batches import pad
from models.encoder.run import CHOSEN, record_of
from testkit.models import write_rows

pytestmark = pytest.mark.train

LABELS = ("negative", "neutral", "positive")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for file, count in (("train", 80), ("tweeteval_val", 4)):
        rows = [
            {"text": f"a {label} day {number}", "label": label, "in_tweeteval_val": 0}
            for number in range(count)
            for label in LABELS
        ]
        write_rows(root / "sentiment" / f"{file}.csv.gz", rows)
    return root


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A tiny random checkpoint that reads the words of the real one."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(4)
    config = BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    shutil.copyfile(find_backbone().tokenizer, folder / "tokenizer.json")
    return verify("tiny", folder, None)


@pytest.fixture(autouse=True)
def unlabelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def posts(root: Path, count: int, seed: int) -> tuple[str, ...]:
        return tuple(f"the {number} o'clock train is late again" for number in range(count))

    monkeypatch.setattr(masked, "posts_unlabelled", posts)


def test_arms_are_trained_once_taught_by_others_and_judged_on_posts_that_none_saw(
    data: Path, backbone: Backbone, tmp_path: Path
) -> None:
    names = ("full", "rank-8", "smoothing", "masked", "student")
    for name in names:
        ablate.train_arm(name, data, tmp_path, backbone, 0.25, bf16=False)
    for name in (*names, *ablate.SEEDS):
        assert record_of(tmp_path / name / CHOSEN)["settings"]["passes"] == {"sentiment": 0.25}
    assert record_of(tmp_path / "smoothing" / CHOSEN)["settings"]["label_smoothing"] == 0.1
    assert record_of(tmp_path / "full" / CHOSEN)["trained_parameters"] > 16 * 30_522
    assert len(record_of(tmp_path / "masked-words" / CHOSEN)["loss"]) == 2

    before = (tmp_path / "student" / CHOSEN / "training.json").stat().st_mtime_ns
    ablate.train_arm("student", data, tmp_path, backbone, 0.25, bf16=False)
    assert (tmp_path / "student" / CHOSEN / "training.json").stat().st_mtime_ns == before

    held = ablate.held_out(data, backbone, 0.25)
    assert 12 < len(held.token_ids) < 12 + 240 - 2 * 32
    whole = (*names, *ablate.SEEDS, *ablate.JOINED)
    answers = {
        name: ablate.answers_of(name, held, tmp_path, backbone, bf16=False) for name in whole
    }
    mean = np.mean([answers[name] for name in ablate.SEEDS], axis=0)
    np.testing.assert_allclose(answers["ensemble"], mean)
    assert np.abs(answers["soup"] - answers["control"]).max() > 1e-5
    judged = ablate.judge(answers, np.asarray(held.lessons[0].targets, np.int64))
    assert judged["control"]["over_control"].value == 0
    assert judged["control"]["over_control"].low == 0
    assert set(judged) == set(whole)


def test_soup_of_models_has_the_mean_of_their_merged_weights(
    data: Path, backbone: Backbone, tmp_path: Path
) -> None:
    for name in ablate.SEEDS:
        ablate.train_arm(name, data, tmp_path, backbone, 0.1, bf16=False)
    models = [ablate.load_arm(name, tmp_path, backbone) for name in ablate.SEEDS]
    key = "backbone.encoder.layer.1.output.dense.base_layer.weight"
    wanted = torch.stack([model.state_dict()[key].clone() for model in models]).mean(0)
    torch.testing.assert_close(ablate.soup(models).state_dict()[key], wanted)


def test_words_are_hidden_inside_texts_only_and_are_what_is_asked_for() -> None:
    ids, mask = pad([[101, *range(1_000, 1_200), 102], [101, 7, 102]])
    shown, wanted = masked.hide(ids, mask, 103, 30_522, torch.Generator().manual_seed(3))
    asked = wanted != masked.NOT_ASKED
    assert torch.equal(wanted[asked], ids[asked])
    assert torch.equal(shown[~asked], ids[~asked])
    assert not asked[:, 0].any()
    assert not asked[0, 201]
    assert not asked[1, 2:].any()
    share = asked[0].sum().item() / 200
    assert 0.1 < share < 0.2
    assert (shown[asked] == 103).float().mean() > 0.6


def test_pretraining_leaves_adapters_to_begin_from(
    data: Path, backbone: Backbone, tmp_path: Path
) -> None:
    settings = ablate.ARMS["control"].settings(0.25, False)
    chosen = masked.pretrain(data, tmp_path, settings, backbone, 3)
    adapter = load_file(chosen / "adapter_model.safetensors")
    changed = [name for name, value in adapter.items() if "lora_B" in name and value.any()]
    assert changed
    kept = json.loads((chosen / "training.json").read_text())
    assert kept["posts"] == 96
    masked.pretrain(data, tmp_path, settings, backbone, 9)
    assert json.loads((chosen / "training.json").read_text()) == kept


def test_unlabelled_posts_of_several_sites_are_drawn_without_repeats(tmp_path: Path) -> None:
    def write(file: Path, texts: list[str]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(file, "wt", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows([["text"], *([text] for text in texts)])

    write(tmp_path / "engagement_accounts" / "posts.csv.gz", ["a", "b"])
    write(tmp_path / "engagement_brand" / "posts.csv.gz", ["b", "c"])
    write(tmp_path / "streams" / "boxing_unlabelled.csv.gz", ["d"])
    write(tmp_path / "responses_reddit_scores" / "comments.csv.gz", ["e"])
    threads = tmp_path / "responses_reddit_pairs" / "threads.jsonl.gz"
    threads.parent.mkdir()
    with gzip.open(threads, "wt") as opened:
        opened.write(json.dumps({"subreddit": "News", "replies": ["f"]}) + "\n")
    assert sorted(datasets.posts_unlabelled(tmp_path, 9, seed=1)) == list("abcdef")
    assert len(datasets.posts_unlabelled(tmp_path, 2, seed=1)) == 2
