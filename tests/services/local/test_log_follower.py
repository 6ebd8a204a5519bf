import io
from pathlib import Path

from services.local.log_follower import LogFollower


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
