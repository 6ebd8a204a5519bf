import json
from pathlib import Path

import pytest

from core.errors import ConfigError
from evaluation.responses.generation_curves import drawn_panels, main, read_run


def write_run(folder: Path, *names: str) -> Path:
    folder.mkdir()
    rows = [{"step": step, **dict.fromkeys(names, step / 10)} for step in (1, 2, 3)]
    (folder / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_every_figure_that_some_run_has_gets_a_panel(
    tmp_path: Path,
) -> None:
    sft = write_run(tmp_path / "one", "loss", "gradient")
    ppo = write_run(tmp_path / "two", "reward", "held_out", "kl", "words")
    runs = {"sft": read_run(sft), "ppo": read_run(ppo)}
    assert drawn_panels(runs) == ["loss", "reward", "held_out", "kl", "words"]
    main([f"sft={sft}", f"ppo={ppo}"], tmp_path / "a.svg")
    picture = (tmp_path / "a.svg").read_text()
    assert "</svg>" in picture


@pytest.mark.parametrize("text", ["", "{", '{"loss": 1}\n', "[]\n"])
def test_a_folder_without_records_of_steps_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "steps.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=r"steps\.jsonl"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match="no records of steps"):
        read_run(tmp_path / "nowhere")
