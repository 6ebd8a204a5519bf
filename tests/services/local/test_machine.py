from pathlib import Path

import pytest
from rich.cells import cell_len

from core.processor import read_flags
from services.local.machine import describe_extensions, meaning

SERVER = "avx2 avx512f avx512_vnni amx_int8"


@pytest.mark.parametrize(
    ("flags", "described", "means"),
    [
        (SERVER, "AVX2, AVX-512, VNNI, AMX", "int8 is fast"),
        ("avx2 avx512f avx512_vnni", "AVX2, AVX-512, VNNI, no AMX", "int8 is fast"),
        ("avx2 avx512f", "AVX2, AVX-512, no VNNI/AMX", "int8 is slow"),
        ("avx2 avx_vnni", "AVX2, VNNI, no AVX-512/AMX", "int8 is fairly fast"),
        ("sse4_2 avx2", "AVX2, no AVX-512/VNNI/AMX", "int8 is slow"),
        ("sse4_2", "no AVX2/AVX-512/VNNI/AMX", "int8 is very slow"),
        ("asimd asimddp", "ARM dot product", "int8 is fast"),
        ("asimd", "ARM, no dot product", "int8 is very slow"),
        ("", "features unknown", "speed unknown"),
    ],
)
def test_the_features_and_what_they_mean_fit_the_doctor_in_80_columns(
    flags: str, described: str, means: str
) -> None:
    found = frozenset(flags.split())
    assert describe_extensions(found) == described
    assert meaning(found) == means
    # What the doctor's longest name and the marks leave.
    assert cell_len(f"{described}: {means}") <= 80 - 32


def test_the_flags_are_those_of_the_first_processor(tmp_path: Path) -> None:
    place = tmp_path / "cpuinfo"
    place.write_text(
        "processor\t: 0\nmodel name\t: flags: none\nflags\t\t: fpu avx2\n\nflags\t: x\n"
    )
    assert read_flags(place) == {"fpu", "avx2"}
    place.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert read_flags(place) == {"fp", "asimd", "asimddp"}
    place.write_text("nothing\n")
    assert read_flags(place) == read_flags(tmp_path / "none") == frozenset()
