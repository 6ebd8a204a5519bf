"""Debian is taken from the mirrors of this machine, or not at all."""

import pytest

from testkit.compose.distribution import Mirrors
from testkit.compose.failures import ComposeTestFailed

KEYS = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
MACHINE = """\
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm contrib
http://mirror.example/debian/ bookworm-updates main
http://other.example/security/ bookworm-security main
http://mirror.example/debian/ bookworm-backports main
http://flat.example/ ./
"""


def test_compose_and_the_base_system_come_from_the_mirror_of_this_machine():
    mirrors = Mirrors(MACHINE)
    assert mirrors.compose() == f"{KEYS} http://mirror.example/debian/ trixie main"
    assert mirrors.base_system() == [
        f"{KEYS} http://mirror.example/debian/ bookworm main",
        f"{KEYS} http://mirror.example/debian/ bookworm-updates main",
        f"{KEYS} http://other.example/security/ bookworm-security main",
    ]


def test_a_machine_of_the_next_release_has_the_mirror_of_this_one_too():
    mirrors = Mirrors("https://mirror.example/debian/ trixie main\n")
    assert mirrors.base_system() == [f"{KEYS} https://mirror.example/debian/ bookworm main"]


@pytest.mark.parametrize(
    ("targets", "named"),
    [
        ("", "none"),
        ("http://mirror.example/debian/ bookworm contrib\n", "none"),
        ("cdrom:[Debian]/ bookworm main\n", "none"),
        ("http://mirror.example/debian/ bullseye main\n", "bullseye"),
    ],
)
def test_without_a_mirror_it_is_refused_by_name(targets, named):
    with pytest.raises(ComposeTestFailed, match=f"Debian's mirror: .* but {named}; after apt-get"):
        Mirrors(targets)
