"""Shipped weights and the backbone to a Triton model repository. No torch.

    python -m models.build --output .groundswell/model_repository

A build is named by the digest of everything that goes into it; when the repository already
holds that build nothing is done. It is made in a folder beside the repository and moved into
place whole, so a build that is cut off leaves the old model.
"""

import hashlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from core.config import load
from core.errors import ConfigError
from core.folders import home, shipped
from core.settings import Settings
from models.backbone import Backbone, find_backbone
from models.build_crowd import CROWD, build_crowd
from models.build_engagement import ENGAGEMENT_MODELS, build_engagement
from models.build_record import whole_record, write_record
from models.build_responder import build_chosen_responder
from models.build_student import answers_named, choose_answers, has_student, with_routes
from models.encoder.calibration_sentences import SENTENCES_FILE, write_sentences
from models.encoder.config import CONFIG_FILE, EncoderConfig, HeadConfig, load_config, save_config
from models.serving.engine_choice import AUTO, EngineChoice
from models.serving.normalise import normalise
from models.serving.place import bits_of, move_into_place
from models.serving.post_encoder import TOKENIZER_FILE
from models.serving.tokenise import TextTokenizer
from models.serving.trials import choose_engine

MODEL_NAME: Final = "post_encoder"
WEIGHTS: Final = Path(__file__).resolve().parent / "weights" / "post-encoder"
TEMPLATE: Final = shipped("deploy", "triton", "model_repository", MODEL_NAME)
DEFAULT_OUTPUT: Final = home() / "model_repository"

ADAPTER_FILE: Final = "adapter_model.safetensors"
HEADS_FILE: Final = "heads.safetensors"
SKELETON_FILE: Final = "skeleton.onnx"
CHECK_SENTENCES: Final = 64
CHECK_SEED: Final = 8
_INPUTS: Final = (ADAPTER_FILE, HEADS_FILE, SKELETON_FILE, SENTENCES_FILE, CONFIG_FILE)
# What turns those inputs into a model: a change of any of it must give another digest.
_CODE: Final = ("build.py", "assemble.py", "engine_files.py", "quantise.py", "row_scales.py")
_TOOLS: Final = {"cpu": ("openvino", "nncf", "onnx", "numpy"), "gpu": ("onnx", "numpy")}


@dataclass(frozen=True, slots=True)
class Built:
    """What is in the repository now."""

    version: str
    folder: Path
    was_current: bool
    seconds: float
    choice: EngineChoice


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def build_digest(backbone: Backbone, weights: Path, template: Path, device: str) -> str:
    """Hex digest of all inputs of a build: weights, backbone, code, template and tools.

    Raises:
        ConfigError: a file of the weights folder is missing.
    """
    digest = hashlib.sha256(f"{device}\n{backbone.sha256}\n".encode())
    parts = [weights / name for name in _INPUTS] + [backbone.tokenizer]
    parts += [Path(__file__).with_name(name) for name in _CODE]
    parts += [template / "config.pbtxt", template / "1" / "model.py"]
    for part in parts:
        if not part.is_file():
            raise ConfigError(f"{part} is missing: the model cannot be built without it")
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    for package in _TOOLS[device]:
        digest.update(f"{package}=={_installed(package)}\n".encode())
    return digest.hexdigest()


def _tokens(path: Path, config: EncoderConfig, sentences: list[str]) -> list[list[int]]:
    return TextTokenizer(path, config.max_tokens).encode([normalise(s) for s in sentences])


def _write_model(
    backbone: Backbone, weights: Path, config: EncoderConfig, device: str, into: Path
) -> None:
    """Write the network into the folder `into`, for every engine of the device."""
    from models.assemble import fill_skeleton, model_weights
    from models.engine_files import write_engines

    tensors = model_weights(
        backbone.weights,
        weights / ADAPTER_FILE,
        weights / HEADS_FILE,
        config.lora_alpha / config.lora_rank,
    )
    full = fill_skeleton(weights / SKELETON_FILE, tensors)
    sentences = (weights / SENTENCES_FILE).read_text(encoding="utf-8").splitlines()
    calibration = _tokens(backbone.tokenizer, config, sentences)
    held_out = _tokens(
        backbone.tokenizer, config, write_sentences(CHECK_SENTENCES, seed=CHECK_SEED)
    )
    write_engines(full, device, calibration, held_out, into)


def _output_of(head: HeadConfig) -> str:
    """The declaration of a head's probabilities to Triton."""
    return f'output {{ name: "{head.name}" data_type: TYPE_FP32 dims: [ {len(head.labels)} ] }}\n'


def _write_config(
    template: Path, place: Path, device: str, wanted: str, choice: EngineChoice
) -> None:
    """Write Triton's configuration of a built model, with the engine that was chosen for it."""
    config = load_config(place / "1")
    text = (template / "config.pbtxt").read_text(encoding="utf-8")
    for key, old, new in (
        ("model_version", "unbuilt", config.version),
        ("engine", AUTO, wanted),
        ("engine_at_build", "unbuilt", choice.engine),
    ):
        said = '"{}" value: {{ string_value: "{}" }}'
        text = text.replace(said.format(key, old), said.format(key, new))
    text = text.replace("# heads\n", "".join(_output_of(head) for head in config.heads))
    if device == "gpu":
        text = text.replace("KIND_CPU", "KIND_GPU")
    text = with_routes(text, has_student(place))
    target = place / "config.pbtxt"
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def build(
    output: Path = DEFAULT_OUTPUT,
    device: str = "cpu",
    weights: Path = WEIGHTS,
    backbone_folder: Path | None = None,
    template: Path = TEMPLATE,
    force: bool = False,
    engine: str = AUTO,
) -> Built:
    """Make `output` hold the model; under a second when it already does.

    The network is built for every engine of the device, and the one that fits this processor is
    chosen, unless that was done before.

    Args:
        output: The Triton model repository; other models in it are not touched.
        device: `cpu` or `gpu` (ONNX Runtime, fp16).
        weights: Folder of the shipped weights.
        backbone_folder: Where the backbone is, if not in the installed package or the hub.
        template: Triton's configuration and `model.py`.
        force: Build even if the result is there.
        engine: The one engine to take; `auto` leaves it to `models.serving.trials`.

    Raises:
        ConfigError: an input is missing or wrong, or no engine can be taken.
    """
    started = time.monotonic()
    config = _weights_config(weights)
    backbone = find_backbone(config.backbone, config.backbone_sha256, backbone_folder)
    digest = build_digest(backbone, weights, template, device)
    place = output / MODEL_NAME
    record = whole_record(place)
    is_current = record.get("digest") == digest and not force
    if not is_current:
        record = _make_whole(place, backbone, weights, template, device, engine)
    choice = choose_engine(place / "1", load_config(place / "1"), engine)
    _write_config(template, place, device, engine, choice)
    elapsed = time.monotonic() - started
    return Built(record["version"], place, is_current, elapsed, choice)


def _weights_config(weights: Path) -> EncoderConfig:
    if not (weights / CONFIG_FILE).is_file():
        raise ConfigError(
            f"{weights} holds no weights: train first with `groundswell models train`"
        )
    return load_config(weights)


def _make_whole(
    place: Path, backbone: Backbone, weights: Path, template: Path, device: str, engine: str
) -> dict[str, Any]:
    """Build and move into place; returns the record that lies beside the model."""
    repository = place.parent
    repository.parent.mkdir(parents=True, exist_ok=True)
    # Beside the repository, not in it: Triton takes every folder in it for a model.
    with tempfile.TemporaryDirectory(
        dir=repository.parent, prefix=f"{repository.name}."
    ) as scratch:
        made = Path(scratch) / MODEL_NAME
        record = {"digest": build_digest(backbone, weights, template, device)}
        record |= _make(made, backbone, weights, template, device)
        # Before it is in place: what no engine can run replaces no model.
        choice = choose_engine(made / "1", load_config(made / "1"), engine)
        _write_config(template, made, device, engine, choice)
        write_record(made, record)
        move_into_place(made, place)
    return record


def _make(
    made: Path, backbone: Backbone, weights: Path, template: Path, device: str
) -> dict[str, Any]:
    """Make the model's folder; returns what its record says of it but the digest."""
    served, config = made / "1", load_config(weights)
    served.mkdir(parents=True)
    _write_model(backbone, weights, config, device, served)
    shutil.copyfile(backbone.tokenizer, served / TOKENIZER_FILE)
    shutil.copyfile(template / "1" / "model.py", served / "model.py")
    # Scores of other bits are scores of another model, whoever built it from whatever.
    config = msgspec.structs.replace(config, version=f"{config.version}.{bits_of(served)}")
    save_config(config, served)
    return {
        "version": config.version,
        "device": device,
        "tools": {package: _installed(package) for package in _TOOLS[device]},
    }


def chosen_weights(settings: Settings) -> Path:
    """The folder of weights that a deployment builds: the shipped ones unless it names others."""
    return Path(settings.scorer.weights) if settings.scorer.weights else WEIGHTS


def main(
    output: Annotated[Path, typer.Option(help="Model repository to write.")] = DEFAULT_OUTPUT,
    device: Annotated[str, typer.Option(help="cpu, or gpu (ONNX Runtime, fp16).")] = "cpu",
    weights: Annotated[
        Path | None, typer.Option(help="Folder of weights; else the setting scorer.weights.")
    ] = None,
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
    force: Annotated[bool, typer.Option(help="Build even if the result is there.")] = False,
    engine: Annotated[
        str | None, typer.Option(help="The engine to take; else the setting scorer.engine.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(help="encoder, cascade or student; else scorer.answers.")
    ] = None,
) -> None:
    """Build the model repository; does nothing when it is up to date."""
    if device not in _TOOLS:
        raise typer.BadParameter(f"--device is cpu or gpu, not {device!r}")
    started = time.monotonic()
    try:
        settings = load()
        wanted = engine or (settings.scorer.engine if device == "cpu" else AUTO)
        source = weights or chosen_weights(settings)
        built = build(output, device, source, backbone, force=force, engine=wanted)
        version = choose_answers(built.folder, answers_named(answers or settings.scorer.answers))
        others = {model: build_engagement(output, model) for model in ENGAGEMENT_MODELS}
        others[CROWD] = build_crowd(output)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    seconds = f"built in {time.monotonic() - started:.0f} s"
    made = {MODEL_NAME: (version, built.was_current), **others}
    made |= build_chosen_responder(output, settings.responder)
    for model, (found, was_current) in made.items():
        typer.echo(f"{output / model}: {found} {'is up to date' if was_current else seconds}")
    typer.echo(f"engine: {built.choice.said()}")


if __name__ == "__main__":
    typer.run(main)
