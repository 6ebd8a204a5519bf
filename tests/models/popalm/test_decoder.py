"""The built decoder against the same arithmetic written down plainly, in doubles."""

from pathlib import Path

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from core.errors import ConfigError, ScorerTimedOut
from models.build_responder import build_responder
from models.popalm.checkpoint import EMBEDDINGS, LAST_NORM, OUTPUT, Checkpoint, DecoderShape
from models.popalm.config import ADAPTER_FILE
from models.popalm.decoding import Decoder
from models.popalm.network import quantised
from models.popalm.prompt import MAX_POST_TOKENS, MAX_REPLY_TOKENS
from models.popalm.sampling import Sampling
from testkit.decoders import MARKS, write_decoder, write_responder
from testkit.injections import injections

pytestmark = pytest.mark.server
Doubles = NDArray[np.float64]
POST = "my cat is so funny today, why is it always the cat?"


class Plain:
    """A decoder of the Llama family without a cache, row by row."""

    def __init__(self, shape: DecoderShape, tensors: dict[str, Doubles]) -> None:
        self.shape, self.tensors = shape, tensors

    def logits(self, tokens: list[int]) -> Doubles:
        """Return (T, V) logits of what follows each token."""
        stream = self.tensors[EMBEDDINGS][tokens]
        for layer in range(self.shape.layers):
            prefix = f"model.layers.{layer}."
            stream = stream + self.attention(
                self.norm(stream, f"{prefix}input_layernorm.weight"), f"{prefix}self_attn."
            )
            inner = self.norm(stream, f"{prefix}post_attention_layernorm.weight")
            gate, up, down = (
                self.tensors[f"{prefix}mlp.{name}_proj.weight"] for name in ("gate", "up", "down")
            )
            opened = inner @ gate.T
            stream = stream + (opened / (1 + np.exp(-opened)) * (inner @ up.T)) @ down.T
        return self.norm(stream, LAST_NORM) @ self.tensors[OUTPUT].T

    def norm(self, values: Doubles, name: str) -> Doubles:
        mean = (values**2).mean(axis=-1, keepdims=True)
        return values / np.sqrt(mean + self.shape.epsilon) * self.tensors[name]

    def attention(self, values: Doubles, prefix: str) -> Doubles:
        shape, length = self.shape, len(values)
        width = shape.head_width
        queries, keys, read = (
            (values @ self.tensors[f"{prefix}{name}_proj.weight"].T).reshape(length, -1, width)
            for name in "qkv"
        )
        found = np.zeros((length, shape.heads, width))
        for head in range(shape.heads):
            shared = head * shape.key_heads // shape.heads
            for at in range(length):
                asked = self.turned(queries[at, head], at)
                scores = np.array(
                    [asked @ self.turned(keys[to, shared], to) for to in range(at + 1)]
                )
                scores = np.exp((scores - scores.max()) / np.sqrt(width))
                found[at, head] = scores / scores.sum() @ read[: at + 1, shared]
        return found.reshape(length, -1) @ self.tensors[f"{prefix}o_proj.weight"].T

    def turned(self, vector: Doubles, position: int) -> Doubles:
        half = len(vector) // 2
        turned = vector.copy()
        for pair in range(half):
            angle = position * self.shape.theta ** (-pair / half)
            one, other = vector[pair], vector[pair + half]
            turned[pair] = one * np.cos(angle) - other * np.sin(angle)
            turned[pair + half] = other * np.cos(angle) + one * np.sin(angle)
        return turned


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_responder(folder)
    build_responder(folder / "repository", folder, folder)
    return folder


@pytest.fixture
def decoder(weights: Path) -> Decoder:
    return Decoder(weights / "repository" / "responder" / "1")


def plain(weights: Path) -> Plain:
    """Return the plain decoder with the adapter added, of the same rounded numbers."""
    checkpoint = Checkpoint(weights / "tiny.gguf")
    tensors = checkpoint.tensors()
    adapter = load_file(weights / ADAPTER_FILE)
    for name in [name for name in adapter if name.endswith("lora_A.weight")]:
        layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        change = adapter[name.replace("lora_A", "lora_B")] @ adapter[name]
        tensors[f"{layer}.weight"] = tensors[f"{layer}.weight"] + 2 * change
    rounded = {}
    for name, tensor in tensors.items():
        whole, scales = quantised(tensor) if tensor.ndim == 2 else (tensor, 1)
        rounded[name] = np.asarray(whole * scales, np.float64)
    return Plain(checkpoint.shape, rounded)


def test_cached_steps_give_the_log_probabilities_of_the_plain_arithmetic(
    weights: Path, decoder: Decoder
) -> None:
    asked = decoder.reader.tokens(POST)
    reply = decoder.reader.tokenizer.encode(" cat is very good", add_special_tokens=False).ids
    logits = plain(weights).logits([*asked, *reply])[len(asked) - 1 : -1]
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    found = decoder.log_probabilities(POST, reply)
    assert found == pytest.approx([expected[at, one] for at, one in enumerate(reply)], abs=0.05)
    assert len(reply) == 4


def test_candidates_in_one_batch_have_the_likelihood_that_each_has_alone(decoder: Decoder) -> None:
    for one in decoder.write(POST, 6, 3, Sampling()):
        pieces = [*one.tokens, decoder.reader.stop] if one.has_ended else one.tokens
        alone = decoder.log_probabilities(POST, pieces)
        assert one.log_probabilities == pytest.approx(alone, abs=0.02)
        assert len(one.tokens) <= MAX_REPLY_TOKENS
        assert one.likelihood == pytest.approx(np.mean(alone), abs=0.02)


def test_same_post_number_and_seed_give_the_same_candidates(decoder: Decoder) -> None:
    first = decoder.write(POST, 5, 9, Sampling())
    decoder.write("something else", 3, 1, Sampling())
    assert decoder.write(POST, 5, 9, Sampling()) == first
    assert decoder.write(POST, 5, 10, Sampling()) != first


def test_time_that_runs_out_gives_no_reply_at_all(weights: Path) -> None:
    ticks = iter(range(1_000))
    slow = Decoder(weights / "repository" / "responder" / "1", clock=lambda: float(next(ticks)))
    with pytest.raises(ScorerTimedOut, match="within 4 s"):
        slow.write(POST, 2, 1, Sampling(temperature=2.0, top_p=1.0), limit_s=4)


def test_question_has_the_marks_of_two_turns_whatever_the_post_says(decoder: Decoder) -> None:
    reader = decoder.reader
    marks = [one for one in reader.tokens("a post") if one in {*reader.forbidden, reader.stop}]
    longest = len(reader.tokens("")) + MAX_POST_TOKENS
    for one in injections():
        tokens = reader.tokens(one.post)
        assert [at for at in tokens if at in {*reader.forbidden, reader.stop}] == marks
        assert len(tokens) <= longest
    assert MARKS[3] not in reader.text(reader.tokens(f"{MARKS[3]} {MARKS[0]}"))
    assert len(reader.tokens("cat " * 500)) == longest


def test_no_mark_is_ever_drawn(decoder: Decoder) -> None:
    flat = Sampling(temperature=2.0, top_p=1.0)
    drawn = {piece for one in decoder.write(POST, 64, 1, flat) for piece in one.tokens}
    assert drawn
    assert not drawn & {*decoder.reader.forbidden, decoder.reader.stop}


def whole_of(file: Path) -> None:
    checkpoint = Checkpoint(file)
    checkpoint.tensors()
    checkpoint.tokenizer()


def test_file_that_is_no_such_decoder_is_refused(tmp_path: Path) -> None:
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"GGUF, or so it says" * 10)
    with pytest.raises(ConfigError, match="cannot be read as GGUF"):
        Checkpoint(junk)
    whole = write_decoder(tmp_path / "tiny.gguf").read_bytes()
    for old, new, expected in (
        (b"llama", b"gpt-j", "expected 'llama'"),
        (b"attn_q", b"attn_x", "unexpected or missing tensors"),
        (b"smollm", b"qwen20", "expected gpt2, smollm"),
    ):
        other = tmp_path / f"{new.decode()}.gguf"
        other.write_bytes(whole.replace(old, new))
        with pytest.raises(ConfigError, match=expected):
            whole_of(other)


def test_network_keeps_weights_in_8_bits(weights: Path) -> None:
    network = openvino.Core().read_model(weights / "repository" / "responder" / "1" / "model.xml")
    kinds = [op.get_element_type() for op in network.get_ops() if op.get_type_name() == "Constant"]
    assert kinds.count(openvino.Type.i8) == 7 * 2 + 2
