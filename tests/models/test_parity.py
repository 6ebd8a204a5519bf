"""Every head gives one answer, whichever of the programs computes it.

torch against ONNX is `test_assemble.py` (training environment); here the served int8 model
against fp32 from the same ONNX file, and Triton against this process (server environment).
"""

import asyncio
import shutil
from pathlib import Path

import onnx
import pytest

from core.heads import HEADS
from core.routes import READ, SENT
from core.settings import ScorerSettings
from models.assemble import fill_skeleton, model_weights
from models.backbone import find_backbone
from models.build import (
    ADAPTER_FILE,
    CHECK_SEED,
    HEADS_FILE,
    MODEL_NAME,
    SKELETON_FILE,
    WEIGHTS,
)
from models.build_student import choose_answers
from models.encoder.calibration_sentences import write_sentences
from models.encoder.config import load_config
from models.quantise import outputs_of
from models.scorers import SCORERS
from models.serving.agreement import agreement
from models.serving.candidates import SHIPPED, candidate
from models.serving.engines import LOGITS_PREFIX
from models.serving.normalise import normalise
from models.serving.post_encoder import open_service
from models.serving.tokenise import TextTokenizer
from models.student.config import Answers
from services.local.triton_server import TritonServer

pytestmark = pytest.mark.server
TEXTS = write_sentences(40, seed=CHECK_SEED)


@pytest.fixture(scope="module")
def token_ids(built_repository: Path) -> list[list[int]]:
    file = built_repository / MODEL_NAME / "1" / "tokenizer.json"
    return TextTokenizer(file, 128).encode([normalise(text) for text in TEXTS])


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights as one ONNX file."""
    config = load_config(WEIGHTS)
    backbone = find_backbone(config.backbone, config.backbone_sha256)
    tensors = model_weights(
        backbone.weights, WEIGHTS / ADAPTER_FILE, WEIGHTS / HEADS_FILE,
        config.lora_alpha / config.lora_rank,
    )  # fmt: skip
    file = tmp_path_factory.mktemp("fp32") / "model.onnx"
    onnx.save_model(fill_skeleton(WEIGHTS / SKELETON_FILE, tensors), file)
    return file


def test_the_shipped_weights_have_every_head_of_the_contract() -> None:
    assert {head.name: head.labels for head in load_config(WEIGHTS).heads} == HEADS


def test_int8_stays_near_fp32_on_every_head(
    fp32: Path, built_repository: Path, token_ids: list[list[int]]
) -> None:
    small = outputs_of(candidate(SHIPPED).place(built_repository / MODEL_NAME / "1"), token_ids)
    full = outputs_of(fp32, token_ids)
    config = load_config(WEIGHTS)
    assert {LOGITS_PREFIX + head.name for head in config.heads} < set(small)
    found = agreement(small, full, config)
    found.check()
    assert found.same_class > 0.9


async def test_triton_answers_with_the_bits_of_this_process(
    built_repository: Path, triton: TritonServer
) -> None:
    service = open_service(built_repository / MODEL_NAME / "1")
    here = await asyncio.to_thread(service.score, TEXTS, [""] * len(TEXTS))
    scorer = SCORERS.get("triton")(ScorerSettings(url=triton.grpc_address))
    try:
        there = await scorer.score_batch(TEXTS, [""] * len(TEXTS))
    finally:
        await scorer.close()
    assert set(there.heads) == set(here.heads) == set(HEADS)
    for name, values in here.heads.items():
        assert there.heads[name].tobytes() == values.tobytes(), name


async def test_triton_answers_with_the_bits_and_routes_of_this_process_with_a_student(
    built_repository: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(built_repository / MODEL_NAME, repository / MODEL_NAME)
    choose_answers(repository / MODEL_NAME, Answers.CASCADE)
    service = open_service(repository / MODEL_NAME / "1")
    texts = write_sentences(160, seed=CHECK_SEED)
    here = await asyncio.to_thread(service.score, texts, [""] * len(texts))
    with TritonServer(tmp_path / "triton", repository=repository) as triton:
        scorer = SCORERS.get("triton")(ScorerSettings(url=triton.grpc_address))
        try:
            there = await scorer.score_batch(texts, [""] * len(texts))
            nothing = await scorer.score_batch([], [])
        finally:
            await scorer.close()
    for name, values in here.heads.items():
        assert there.heads[name].tobytes() == values.tobytes(), name
    assert here.routes is not None
    assert there.routes is not None
    assert there.routes.bits.tolist() == here.routes.bits.tolist()
    assert 0 < there.routes.count(SENT) < there.routes.count(READ)
    assert there.routes.student_s > 0
    assert there.routes.encoder_s > 0
    assert nothing.routes is not None
    assert len(nothing.routes.bits) == 0
