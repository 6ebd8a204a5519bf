"""What Triton is given can be read by Triton: configurations of all models, vLLM's included."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from models.scorers.responder_triton import RESPONDER_OUTPUTS

_messages: Any = model_config_pb2
TRITON = Path(__file__).resolve().parents[2] / "deploy" / "triton"
VLLM = TRITON / "vllm" / "responder_vllm"
# The template of engagement names widths where the build puts numbers.
FILES = [file for file in sorted(TRITON.rglob("config.pbtxt")) if file.parent.name != "engagement"]


def read(file: Path) -> Any:
    return text_format.Parse(file.read_text(encoding="utf-8"), _messages.ModelConfig())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_configuration_is_one_of_triton_and_named_as_its_folder(file: Path) -> None:
    config = read(file)
    assert config.name == file.parent.name
    assert config.backend in {"python", "vllm"}


@pytest.mark.parametrize("file", sorted(TRITON.rglob("config.pbtxt")), ids=lambda f: f.parent.name)
def test_no_queue_of_triton_has_a_policy_which_would_hold_requests_up(file: Path) -> None:
    # With a limit, a timeout or priorities Triton wakes its batcher only for an idle instance, and
    # now and then a request waits for the batcher's own half second: docs/performance.md.
    text = file.read_text(encoding="utf-8")
    assert not [word for word in ("queue_policy", "priority_levels") if word in text]


def test_responder_declares_what_its_client_wants() -> None:
    config = read(TRITON / "model_repository" / "responder" / "config.pbtxt")
    assert tuple(output.name for output in config.output) == RESPONDER_OUTPUTS
    assert {one.name for one in config.input} == {"TEXT", "NUMBER", "SEED"}
    assert config.parameters["model_version"].string_value == "unbuilt"


def test_vllm_is_given_a_model_and_adapters_that_fit_it() -> None:
    config = read(VLLM / "config.pbtxt")
    assert config.backend == "vllm"
    assert config.model_transaction_policy.decoupled
    engine = json.loads((VLLM / "1" / "model.json").read_text())
    adapters = json.loads((VLLM / "1" / "multi_lora.json").read_text())
    assert engine["model"]
    assert engine["enable_lora"] is True
    assert engine["max_lora_rank"] >= 8
    assert 0 < engine["gpu_memory_utilization"] < 1
    assert len(adapters) >= engine["max_loras"] > 0
    assert all(
        Path(folder).is_absolute() and name.isidentifier() for name, folder in adapters.items()
    )
    # What is asked (models/popalm/prompt.py: an instruction, 96 tokens) and 32 of an answer fit.
    assert engine["max_model_len"] >= 256
