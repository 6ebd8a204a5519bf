"""The pre-trained decoder and its adapter into the model repository, beside the post encoder.

The adapter is added to the decoder's weights, these are put into 8 bits, and the whole is written
as an OpenVINO network: numpy and openvino, no torch. A build is named by the digest of everything
that goes into it; when the repository holds that build already nothing is done.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ConfigError
from core.folders import shipped
from core.responder_settings import ResponderSettings
from models.backbone import sha256_of
from models.popalm.base import Base, find_base
from models.popalm.config import (
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    RESPONDER_CONFIG,
    REWARD_FOLDER,
    load_adapter_config,
    load_responder_config,
    save_responder_config,
)
from models.popalm.decoding import NETWORK_FILE, TOKENIZER_FILE
from models.popalm.reward import REWARD_WEIGHTS, WEIGHTS_FILE
from models.serving.place import FIRST_VERSION, bits_of, check_bits, move_into_place
from models.serving.responder import open_responder

RESPONDER: Final = "responder"
RESPONDER_WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / RESPONDER
_TEMPLATE: Final = shipped("deploy", "triton", "model_repository", RESPONDER)
_RECORD: Final = "build.json"
_CODE: Final = ("build_responder.py", "assemble.py", "popalm/checkpoint.py", "popalm/network.py")
_TOOLS: Final = ("openvino", "numpy", "gguf")


def build_responder(
    output: Path,
    weights: Path = RESPONDER_WEIGHTS,
    decoder: Path | None = None,
    template: Path = _TEMPLATE,
) -> tuple[str, bool]:
    """Make a repository hold the responder.

    Args:
        output: The Triton model repository; other models in it are not touched.
        weights: The folder of its configuration and its adapter.
        decoder: The GGUF file of the decoder, or a folder with one; None looks where
            `models.popalm.base` says.
        template: Triton's configuration and `model.py`.

    Returns:
        The version, and whether it was there already.

    Raises:
        ConfigError: A part is missing, or is another than the adapter was trained on.
    """
    config = load_responder_config(weights)
    base = find_base(config.base, config.base_sha256 or None, decoder)
    digest = _digest(base, weights, template)
    place = output / RESPONDER
    if _recorded(place) == digest:
        return load_responder_config(place / FIRST_VERSION).version, True
    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the repository, not in it: Triton takes every folder in it for a model.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f"{output.name}.") as scratch:
        made = Path(scratch) / RESPONDER
        found = _make(made, base, weights, template)
        (made / FIRST_VERSION / _RECORD).write_text(json.dumps({"digest": digest}) + "\n")
        open_responder(made / FIRST_VERSION)
        move_into_place(made, place)
    return found, False


def build_chosen_responder(
    output: Path, responder: ResponderSettings
) -> dict[str, tuple[str, bool]]:
    """Make a repository hold the responder, as far as it can be built.

    Everything else runs without it, so what is missing is said and stops nothing; only a responder
    that a deployment has chosen has to be there.

    Returns:
        Its name -> its version, and whether it was there already; {} where it is not built.

    Raises:
        ConfigError: A part of what the settings name is missing or wrong.
    """
    weights = Path(responder.weights) if responder.weights else RESPONDER_WEIGHTS
    decoder = Path(responder.decoder) if responder.decoder else None
    try:
        return {RESPONDER: build_responder(output, weights, decoder)}
    except ConfigError as error:
        if responder.weights or responder.decoder:
            raise
        sys.stderr.write(f"the responder is not built, all else runs without it: {error}\n")
        return {}


def _digest(base: Base, weights: Path, template: Path) -> str:
    """Return the hex digest of all that makes a build."""
    digest = hashlib.sha256(base.sha256.encode())
    parts = [weights / RESPONDER_CONFIG, template / "config.pbtxt"]
    parts += [template / FIRST_VERSION / "model.py"]
    parts += [Path(__file__).parent / name for name in _CODE]
    adapter = (weights / ADAPTER_FILE, weights / ADAPTER_CONFIG)
    parts += [part for part in adapter if part.is_file()]
    if reward := load_responder_config(weights).reward:
        parts += [REWARD_WEIGHTS / reward / WEIGHTS_FILE]
    for part in parts:
        if not part.is_file():
            raise ConfigError(f"{part} is missing: the responder cannot be built without it")
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    for package in _TOOLS:
        digest.update(f"{package}=={version(package)}\n".encode())
    return digest.hexdigest()


def _recorded(place: Path) -> str:
    """Return the digest of what is in place; "" of nothing, or of what was changed since."""
    served = place / FIRST_VERSION
    try:
        digest = str(json.loads((served / _RECORD).read_text(encoding="utf-8"))["digest"])
        check_bits(served, load_responder_config(served).version)
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return ""
    return digest


def _make(made: Path, base: Base, weights: Path, template: Path) -> str:
    """Make the model's folder; returns its version."""
    import openvino
    from safetensors.numpy import load_file

    from models.assemble import merge_adapters
    from models.popalm.checkpoint import Checkpoint
    from models.popalm.network import decoder_network

    served, config = made / FIRST_VERSION, load_responder_config(weights)
    served.mkdir(parents=True)
    checkpoint = Checkpoint(base.gguf)
    tensors = checkpoint.tensors()
    adapter = load_adapter_config(weights, config.base)
    if adapter is not None:
        scaling = adapter.lora_alpha / adapter.r
        tensors = merge_adapters(tensors, load_file(weights / ADAPTER_FILE), scaling)
    network = decoder_network(checkpoint.shape, tensors)
    openvino.save_model(network, served / NETWORK_FILE, compress_to_fp16=False)
    checkpoint.tokenizer().save(str(served / TOKENIZER_FILE))
    shutil.copyfile(template / FIRST_VERSION / "model.py", served / "model.py")
    named = f"{config.version}.int8"
    if config.reward:
        copied = served / REWARD_FOLDER
        shutil.copytree(REWARD_WEIGHTS / config.reward, copied)
        sha256 = sha256_of(copied / WEIGHTS_FILE)
        config = msgspec.structs.replace(config, reward_sha256=sha256)
        # Another reward gives other replies of the same draws.
        named += f".{config.reward}-{sha256[:8]}"
    config = msgspec.structs.replace(config, version=f"{named}.{bits_of(served)}")
    save_responder_config(config, served)
    text = (template / "config.pbtxt").read_text(encoding="utf-8")
    filled = text.replace('string_value: "unbuilt"', f'string_value: "{config.version}"')
    (made / "config.pbtxt").write_text(filled, encoding="utf-8")
    return config.version
