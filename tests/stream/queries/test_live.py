from pathlib import Path

from core.authors import author_hasher
from core.metrics import Metrics
from core.settings import Secret
from stream.queries.live import LiveMatcher

CATALOG = """
[queries.delta]
expression = "@Delta"
"""


def _match(matcher: LiveMatcher, author: str) -> tuple[int, ...]:
    return matcher().match_batch(["no name here"], [author], ["en"], ["replay"])[0]


def test_author_queries_find_hashed_authors_by_the_key_that_hashed_them(tmp_path: Path):
    path = tmp_path / "queries.toml"
    path.write_text(CATALOG)
    key = Secret("a key")
    matcher = LiveMatcher(path, Metrics(), key)
    assert _match(matcher, author_hasher(key)("DELTA")) == (0, 1)
    assert _match(matcher, author_hasher(Secret("another key"))("delta")) == (0,)
    assert _match(matcher, "Delta") == (0, 1)  # of a source that is of public figures
    assert _match(LiveMatcher(path, Metrics(), Secret()), "Delta") == (0, 1)


def test_a_changed_query_file_is_taken_and_a_bad_one_keeps_the_old(tmp_path: Path):
    path = tmp_path / "queries.toml"
    path.write_text(CATALOG)
    metrics = Metrics()
    matcher = LiveMatcher(path, metrics, Secret())
    path.write_text("[queries.delta]\nexpression = '('\n")
    matcher.check()
    assert matcher().names == ("all", "delta")
    assert metrics.registry.get_sample_value("groundswell_query_reload_failures_total") == 1
    path.write_text(CATALOG + '[queries.late]\nexpression = "late"\n')
    matcher.check()
    assert matcher().names == ("all", "delta", "late")
    assert metrics.registry.get_sample_value("groundswell_queries_loaded") == 3
