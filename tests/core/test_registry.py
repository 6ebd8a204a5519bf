import sys
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.registry import Registry


def test_part_is_imported_only_when_it_is_asked_for() -> None:
    shapes = Registry("shape")
    sys.modules.pop("colorsys", None)
    shapes.add("hls", "colorsys:rgb_to_hls")
    assert "colorsys" not in sys.modules
    assert shapes.get("hls").__name__ == "rgb_to_hls"
    assert shapes.names() == ("hls",)


def test_name_that_is_taken_is_refused() -> None:
    shapes = Registry("shape")
    shapes.add("a", "fractions:Fraction")
    with pytest.raises(ConfigError, match="'a' is registered twice"):
        shapes.add("a", "decimal:Decimal")


def test_place_without_attribute_is_refused() -> None:
    with pytest.raises(ConfigError, match="module:attribute"):
        Registry("shape").add("a", "fractions")


def test_unknown_name_is_refused_with_the_nearest_and_all_known() -> None:
    shapes = Registry("shape")
    shapes.add("triton", "fractions:Fraction")
    shapes.add("fake", "fractions:Fraction")
    with pytest.raises(ConfigError) as refused:
        shapes.get("tritn")
    assert "expected one of triton, fake" in str(refused.value)
    assert "did you mean 'triton'?" in str(refused.value)


def test_a_name_of_a_package_that_is_not_installed_says_where_it_is_to_be_had() -> None:
    registry = Registry("scorer")
    registry.add("fake", "no_such_package_here.scorers:from_settings")
    with pytest.raises(ConfigError, match="'fake' needs the package 'no_such_package_here'"):
        registry.get("fake")


def test_what_a_module_itself_cannot_import_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking_module.py").write_text("import no_such_package_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("scorer")
    registry.add("own", "lacking_module:anything")
    with pytest.raises(ModuleNotFoundError, match="no_such_package_here"):
        registry.get("own")
