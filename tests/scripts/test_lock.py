"""The lock files agree where two of them are installed into one environment."""

from pathlib import Path

from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def locked(name: str) -> dict[str, str]:
    lines = (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    return {one.name: str(one.specifier) for one in found}


def test_what_draws_changes_no_package_of_the_model_server() -> None:
    served, drawing = locked("server.txt"), locked("drawing.txt")
    assert "matplotlib" in drawing
    assert "matplotlib" not in served
    assert "numpy" in drawing.keys() & served.keys()
    common = drawing.keys() & served.keys()
    assert {name: drawing[name] for name in common} == {name: served[name] for name in common}
