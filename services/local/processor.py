"""What this machine's processor has for the model's integer products, from `/proc/cpuinfo`."""

from pathlib import Path
from typing import Final

_CPUINFO: Final = Path("/proc/cpuinfo")
_EXTENSIONS: Final = (
    # Name for people, and the kernel's flags of which one is enough.
    ("AVX2", ("avx2",)),
    ("AVX-512", ("avx512f",)),
    ("VNNI", ("avx512_vnni", "avx_vnni")),
    ("AMX", ("amx_int8",)),
)


def read_flags(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the flags of the first processor; empty where the kernel does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def describe_extensions(flags: frozenset[str]) -> str:
    """Return which extensions there are and which are not.

    Example:
        >>> describe_extensions(frozenset({"avx2", "avx_vnni"}))
        'AVX2, VNNI, no AVX-512/AMX'
        >>> describe_extensions(frozenset({"asimddp"}))
        'ARM dot product'
    """
    if "asimd" in flags or "asimddp" in flags:
        return "ARM dot product" if "asimddp" in flags else "ARM, no dot product"
    if not flags:
        return "features unknown"
    has = [name for name, any_of in _EXTENSIONS if flags.intersection(any_of)]
    lacks = "/".join(name for name, _ in _EXTENSIONS if name not in has)
    return ", ".join([*has, f"no {lacks}"] if lacks else has)


def meaning(flags: frozenset[str]) -> str:
    """Return what the features mean for the int8 model, in two or three words."""
    if not flags:
        return "speed unknown"
    if flags & {"amx_int8", "avx512_vnni", "asimddp"}:
        return "int8 is fast"
    if "avx_vnni" in flags:
        return "int8 is fairly fast"
    return "int8 is slow" if flags & {"avx2", "avx512f"} else "int8 is very slow"
