"""What a wheel holds besides the packages; everything else about the package is in pyproject.toml.

The two wings stay out of it. What the product reads of `deploy/`, `configs/`, `docs/` and
`requirements/` goes into `core/shipped/`, where `core.folders.shipped` looks for it.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WINGS = ("evaluation", "testkit")
SHIPPED = (
    "configs/**/*.toml",
    "deploy/alertmanager/*.yml",
    "deploy/kafka/*",
    "deploy/prometheus/prometheus.yml",
    "deploy/prometheus/rules/*.yml",
    "deploy/redis/*",
    "deploy/triton/**/*.p*",
    "docs/runbooks/*.md",
    "requirements/server.txt",
)


class ProductOnly(build_py):
    """Builds what users run. An editable install is a checkout and has everything anyway."""

    def finalize_options(self) -> None:
        """Take the wings off the list of packages, unless the install is editable."""
        super().finalize_options()
        if not self.editable_mode:
            self.packages = [name for name in self.packages if name.split(".")[0] not in WINGS]

    def run(self) -> None:
        """Build the packages, then copy what is shipped with them."""
        super().run()
        if self.editable_mode:
            return
        root = Path(__file__).resolve().parent
        for pattern in SHIPPED:
            found = [path for path in sorted(root.glob(pattern)) if path.is_file()]
            if not found:
                raise FileNotFoundError(f"setup.py: nothing matches {pattern}")
            for path in found:
                target = Path(self.build_lib, "core", "shipped", path.relative_to(root))
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": ProductOnly})
