import io
from pathlib import Path

from services.local.kafka_server import KafkaServer
from services.local.log_follower import LogFollower
from services.local.triton_server import TritonServer


def test_lines_come_with_their_parts_name_and_only_when_they_are_complete(tmp_path: Path) -> None:
    output = io.StringIO()
    follower = LogFollower(output)
    follower.follow("kafka", tmp_path / "kafka.log")
    follower.show_new_lines()  # the file is not there yet
    (tmp_path / "kafka.log").write_text("one\ntw")
    follower.show_new_lines()
    assert [line.partition(" ")[2] for line in output.getvalue().splitlines()] == [
        "kafka        | one"
    ]
    with (tmp_path / "kafka.log").open("a") as log:
        log.write("o\nthree\n")
    follower.show_new_lines()
    assert [line.rpartition("| ")[2] for line in output.getvalue().splitlines()] == [
        "one", "two", "three",
    ]  # fmt: skip


def test_what_was_written_before_following_is_not_repeated(tmp_path: Path) -> None:
    output = io.StringIO()
    (tmp_path / "redis.log").write_text("old\n")
    follower = LogFollower(output)
    follower.follow("redis", tmp_path / "redis.log")
    follower.show_new_lines()
    assert output.getvalue() == ""


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path: Path) -> None:
    output = io.StringIO()
    follower = LogFollower(output)
    follower.follow("triton", tmp_path / "triton.log")
    (tmp_path / "triton.log").write_bytes(b"\xff\xfe broken\n")
    follower.show_new_lines()
    follower.say("done")
    assert "broken" in output.getvalue()
    assert "groundswell  | done" in output.getvalue()


def test_lines_that_tell_nobody_anything_stay_in_the_file_and_every_other_is_shown(
    tmp_path: Path,
) -> None:
    output = io.StringIO()
    follower = LogFollower(output)
    start = (
        'E1201 18:19:58.460593 32544 server.cc:241] "CudaDriverHelper has not been initialized."'
    )
    other = 'E1201 18:19:59.460593 32544 server.cc:241] "Internal: failed to load all models"'
    follower.follow("triton", tmp_path / "triton.log", TritonServer.unshown)
    (tmp_path / "triton.log").write_text(f"{start}\n{other}\n")
    trace = (
        "ERROR Exiting Kafka due to fatal exception\n"
        "java.net.BindException: Address already in use\n"
        "\tat java.base/sun.nio.ch.Net.bind0(Native Method)\n"
        "\t... 12 more\n"
    )
    follower.follow("kafka", tmp_path / "kafka.log", KafkaServer.unshown)
    (tmp_path / "kafka.log").write_text(trace)
    follower.show_new_lines()
    assert [line.rpartition("| ")[2] for line in output.getvalue().splitlines()] == [
        other, *trace.splitlines()[:2],
    ]  # fmt: skip
    assert start in (tmp_path / "triton.log").read_text()


def test_a_look_at_nothing_but_such_lines_prints_nothing(tmp_path: Path) -> None:
    output = io.StringIO()
    follower = LogFollower(output)
    follower.follow("kafka", tmp_path / "kafka.log", KafkaServer.unshown)
    (tmp_path / "kafka.log").write_text("\tat kafka.Kafka.main(Kafka.scala)\n")
    follower.show_new_lines()
    assert output.getvalue() == ""
