"""What is said of a dashboard that was drawn; what draws it is tried by `make look` itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from testkit.look import command
from testkit.look.boards import BoardSeen, PanelSeen
from testkit.look.bundle import NotBundled, NotFetched
from testkit.look.wrong import overlooked, wrong_board


def panel(title: str, **changes: object) -> PanelSeen:
    fields = {
        "title": title, "error": None, "ignored": (), "series": ("one",), "colours": {},
        "drawn": True, "text": title,
    }  # fmt: skip
    return PanelSeen(**(fields | changes))  # pyright: ignore[reportArgumentType]


def test_what_nobody_should_see_is_a_fault_and_nothing_else_is() -> None:
    seen = BoardSeen(
        "board",
        [
            panel("Good"),
            panel("Refused", error="parse error", series=(), drawn=False),
            panel("Blank", drawn=False),
            panel("Ignored", ignored=['unit = "postsps"']),
            panel("Quiet", series=(), drawn=False, text="No data"),
        ],
        ["a warning of the page"],
    )
    assert seen.faults() == [
        "board: a warning of the page",
        "board / Refused: parse error",
        "board / Blank: blank, with 1 series",
        'board / Ignored: Grafana knows no unit = "postsps"',
    ]
    assert seen.empty() == ["board / Quiet: no series: 'No data'"]


def test_a_look_that_finds_nothing_wrong_where_everything_is_has_overlooked_all() -> None:
    titles = [one["title"] for one in wrong_board()["panels"]]
    assert overlooked(BoardSeen("wrong", [panel(title) for title in titles])) == titles
    seen = BoardSeen("wrong", [panel("Refused", error="parse error at 1"), panel("Blank")])
    assert overlooked(seen) == titles[1:]


@pytest.mark.parametrize(
    ("error", "words", "status"),
    [
        (NotFetched("npm: no route"), [], 1),
        (NotFetched("npm: no route"), ["--skip-without-registry"], 0),
        (NotBundled("esbuild refused"), ["--skip-without-registry"], 1),
    ],
)
def test_only_a_registry_out_of_reach_may_be_left_out_and_that_is_said_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    error: Exception, words: list[str], status: int,
) -> None:  # fmt: skip
    def bundle(*_: object) -> Path:
        raise error

    monkeypatch.setattr(command, "bundle", bundle)
    assert command.main(words) == status
    said = capsys.readouterr().out
    assert str(error) in said
    assert ("NOTHING WAS LOOKED AT" in said) == isinstance(error, NotFetched)
