"""Keeps the two wings out of a wheel; everything else about the package is in pyproject.toml."""

from setuptools import setup
from setuptools.command.build_py import build_py

WINGS = ("evaluation", "testkit")


class ProductOnly(build_py):
    """Builds what users run. An editable install is a checkout and has the wings as well."""

    def finalize_options(self) -> None:
        """Take the wings off the list of packages, unless the install is editable."""
        super().finalize_options()
        if not self.editable_mode:
            self.packages = [name for name in self.packages if name.split(".")[0] not in WINGS]


setup(cmdclass={"build_py": ProductOnly})
