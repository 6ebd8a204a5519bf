"""What is sealed opens under its key, and under nothing else."""

import pytest

from core.errors import ConfigError
from core.sealing import PLAIN, Sealer
from core.settings import Secret


def test_what_is_sealed_opens_in_another_process_with_the_same_key():
    sealed = Sealer(Secret("key")).seal(b"ana says")
    assert Sealer(Secret("key")).open(sealed, Sealer(Secret("key")).key_id) == b"ana says"


def test_the_same_bytes_are_never_sealed_alike_so_that_nobody_can_compare():
    sealer = Sealer(Secret("key"))
    assert sealer.seal(b"ana") != sealer.seal(b"ana")


@pytest.mark.parametrize("other", [PLAIN, Sealer(Secret("another"))])
def test_without_the_right_key_it_is_said_which_one_is_missing(other: Sealer):
    sealer = Sealer(Secret("key"))
    with pytest.raises(ConfigError, match=sealer.key_id):
        other.open(sealer.seal(b"ana"), sealer.key_id)


@pytest.mark.parametrize("cut", [0, 5, 12, 20])
def test_damaged_bytes_do_not_open(cut: int):
    sealer = Sealer(Secret("key"))
    sealed = bytearray(sealer.seal(b"ana says hello"))
    sealed[cut] ^= 1
    with pytest.raises(ConfigError, match="damaged"):
        sealer.open(bytes(sealed), sealer.key_id)
    with pytest.raises(ConfigError, match="damaged"):
        sealer.open(bytes(sealed[: cut + 1]), sealer.key_id)


def test_without_a_key_bytes_stay_as_they_are_and_nothing_stays_nothing():
    assert PLAIN.seal(b"ana") == b"ana"
    assert PLAIN.open(b"ana", "") == b"ana"
    assert PLAIN.key_id == ""
    assert Sealer(Secret("key")).seal(b"") == b""


def test_the_id_of_a_key_is_neither_the_key_nor_a_hash_of_an_author():
    from core.authors import author_hasher

    key = Secret("key")
    assert len(Sealer(key).key_id) == 16
    assert Sealer(key).key_id not in author_hasher(key)("groundswell sealed bytes: id")
