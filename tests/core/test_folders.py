from pathlib import Path

import pytest

from core import folders
from core.config import load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages as a wheel leaves them, among packages of others."""
    site = tmp_path / "site-packages"
    for name in ("core/shipped/configs", "models", "numpy"):
        (site / name).mkdir(parents=True)
    (site / "core/shipped/configs/queries.toml").write_text("[queries]\n")
    monkeypatch.setattr(folders, "_PACKAGES", site / "core")
    return site


def test_home_is_where_the_variable_says_else_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROUNDSWELL_HOME", raising=False)
    assert folders.home() == tmp_path / ".groundswell"
    monkeypatch.setenv("GROUNDSWELL_HOME", "elsewhere")
    assert folders.home() == tmp_path / "elsewhere"


def test_settings_that_name_no_folder_follow_home() -> None:
    variables = {"GROUNDSWELL_HOME": "/var/gs", "GROUNDSWELL__INGEST__CURSOR_DIR": "cursors"}
    settings = load(environ=variables)
    assert settings.worker.data_dir == "/var/gs/worker"
    assert settings.scorer.repository == "/var/gs/model_repository"
    assert settings.ingest.cursor_dir == "cursors"
    assert load(environ={}).worker.data_dir == ".groundswell/worker"


def test_a_checkout_reads_its_own_files() -> None:
    assert folders.checkout() == ROOT
    assert folders.shipped("deploy", "redis", "redis.conf") == ROOT / "deploy/redis/redis.conf"
    assert folders.importable() == ROOT


def test_an_installed_product_reads_what_was_shipped_with_it(installed: Path) -> None:
    assert folders.checkout() is None
    shipped = installed / "core" / "shipped"
    assert folders.shipped("deploy", "redis", "redis.conf") == shipped / "deploy/redis/redis.conf"


def test_the_catalog_of_the_current_folder_goes_before_the_shipped_one(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders.catalog_file() == installed / "core/shipped/configs/queries.toml"
    assert folders.catalog_file("mine.toml") == Path("mine.toml")  # named: a fault if it is absent
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "queries.toml").write_text("[queries]\n")
    assert folders.catalog_file() == Path("configs/queries.toml")


def test_another_interpreter_is_given_our_packages_and_nobody_elses(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    found = folders.importable()
    assert {path.name: path.resolve() for path in found.iterdir()} == {
        name: installed / name for name in ("core", "models")
    }
    newer = tmp_path / "newer"
    installed.rename(newer)
    monkeypatch.setattr(folders, "_PACKAGES", newer / "core")
    assert folders.importable() == found
    assert (found / "models").resolve() == newer / "models"
