"""What is made of Redis's own words, also of those that it leaves out."""

from stream.store.health import StoreHealth, read_health

INFO = {
    "used_memory": 11, "maxmemory": 12, "total_commands_processed": 13, "connected_clients": 14,
    "evicted_keys": 15, "db0": {"keys": 16}, "aof_enabled": 1, "aof_last_write_status": "ok",
}  # fmt: skip


def test_every_word_is_read_into_its_own_field() -> None:
    assert read_health([INFO]) == StoreHealth(
        memory_bytes=11, memory_limit_bytes=12, commands=13, clients=14, keys=16, evicted_keys=15,
        log_ok=True,
    )  # fmt: skip


def test_what_a_server_leaves_out_is_zero_and_its_log_not_in_order() -> None:
    assert read_health([{}]) == StoreHealth(0, 0, 0, 0, 0, 0, log_ok=False)
    assert read_health([{"db0": {}}]).keys == 0


def test_a_log_is_in_order_only_when_it_is_kept_and_was_written() -> None:
    assert not read_health([INFO | {"aof_enabled": 0}]).log_ok
    assert not read_health([INFO | {"aof_last_write_status": "err"}]).log_ok


def test_a_cluster_is_the_sum_of_its_masters_and_as_sound_as_the_worst_of_them() -> None:
    both = read_health([INFO, INFO | {"maxmemory": 20}])
    assert (both.memory_bytes, both.memory_limit_bytes, both.keys) == (22, 32, 32)
    assert both.log_ok
    assert not read_health([INFO, INFO | {"aof_enabled": 0}]).log_ok
    assert read_health([INFO, INFO | {"maxmemory": 0}]).memory_limit_bytes == 0
