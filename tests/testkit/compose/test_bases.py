"""Every public image that the project's files name has a stand-in."""

import pytest

from testkit.compose.bases import locked_package, public_images, recipe_of
from testkit.compose.failures import ComposeTestFailed


def test_every_public_image_has_a_recipe(pytestconfig):
    tags = public_images(pytestconfig.rootpath)
    assert {tag.rpartition(":")[0] for tag in tags} >= {"python", "apache/kafka", "redis"}
    for tag in tags:
        assert recipe_of(tag).is_file()


def test_an_image_without_a_recipe_is_refused():
    with pytest.raises(ComposeTestFailed, match="example/other:1: no stand-in"):
        recipe_of("example/other:1")


def test_one_package_of_a_lock_comes_with_its_hashes(pytestconfig):
    lock = (pytestconfig.rootpath / "requirements/server.txt").read_text()
    lines = locked_package(lock, "nvidia-pytriton").splitlines()
    assert lines[0].startswith("nvidia-pytriton==")
    assert all("--hash=" in line for line in lines[1:])
    assert not lines[-1].endswith("\\")
    with pytest.raises(ComposeTestFailed, match="no package nothing"):
        locked_package(lock, "nothing")
