"""The list of what an image installs names every package, and is never empty by mistake."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy/docker/sbom.py"


def run(*folders):
    argv = [sys.executable, str(SCRIPT), "groundswell-app", *map(str, folders)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def installed(folder, name, version, *, licence=""):
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    told = f"License-Expression: {licence}\n" if licence else ""
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{told}"
    )
    return folder


def test_every_package_of_every_folder_is_named_with_its_version(tmp_path):
    installed(tmp_path / "a", "Second_One", "2.0")
    installed(tmp_path / "b", "first", "1.5", licence="MIT")
    listed = json.loads(run(tmp_path / "a", tmp_path / "b").stdout)
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.5")
    assert listed["metadata"]["component"]["name"] == "groundswell-app"
    assert [one["purl"] for one in listed["components"]] == [
        "pkg:pypi/first@1.5", "pkg:pypi/second-one@2.0",
    ]  # fmt: skip
    assert listed["components"][0]["licenses"] == [{"expression": "MIT"}]


def test_a_folder_without_packages_ends_the_build(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1
    assert "holds no installed package" in done.stderr
