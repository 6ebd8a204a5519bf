import math

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from services.local.ports import any_free_port
from services.local.scrape import RecentGrowth, fetch_pages, parse_pages, quantile


def page_of(*counts: tuple[str, float]) -> str:
    registry = CollectorRegistry()
    counter = Counter("posts", "Posts.", ["topic"], registry=registry)
    for topic, count in counts:
        counter.labels(topic=topic).inc(count)
    return generate_latest(registry).decode()


def test_samples_of_several_processes_are_added() -> None:
    page = parse_pages([page_of(("posts", 3), ("events", 1)), page_of(("posts", 4))])
    assert page.total("posts_total") == 8
    assert page.total("posts_total", topic="posts") == 7
    assert page.by_label("posts_total", "topic") == {"posts": 7, "events": 1}
    assert page.total("unknown_total") == 0


def test_a_page_that_does_not_answer_adds_nothing() -> None:
    assert fetch_pages([any_free_port()]) == {}


def test_quantiles_of_a_histogram_are_those_of_its_buckets() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("latency", "s", buckets=(0.1, 1.0, 10.0), registry=registry)
    for _ in range(50):
        histogram.observe(0.05)
    for _ in range(50):
        histogram.observe(0.5)
    buckets = parse_pages([generate_latest(registry).decode()]).buckets("latency")
    assert buckets == {0.1: 50, 1.0: 100, 10.0: 100, math.inf: 100}
    assert quantile(0.5, buckets) == 0.1
    assert math.isclose(quantile(0.75, buckets) or 0, 0.55)


def test_a_quantile_above_the_last_edge_is_that_edge_and_none_without_samples() -> None:
    assert quantile(0.99, {1.0: 1, math.inf: 100}) == 1.0
    assert quantile(0.5, {1.0: 0, math.inf: 0}) is None
    assert quantile(0.5, {}) is None


def test_rates_look_back_over_the_span_only() -> None:
    recent = RecentGrowth(span_s=10.0)
    for second in range(31):
        recent.note(second, {9110: {"posts": 100.0 * min(second, 20)}})
    assert recent.rate("posts") == 0.0
    assert recent.total("posts") == 2000.0


def test_a_process_that_started_again_does_not_make_a_rate_negative() -> None:
    recent = RecentGrowth(span_s=10.0)
    for second, count in enumerate([0, 100, 200, 5, 105]):
        recent.note(second, {9110: {"posts": count}})
    assert recent.total("posts") == 305
    assert recent.rate("posts") == 305 / 4


def test_one_look_gives_no_rate() -> None:
    recent = RecentGrowth()
    assert recent.rate("posts") == 0.0
    recent.note(0.0, {9110: {"posts": 7}})
    assert recent.rate("posts") == 0.0


def test_a_process_that_is_away_for_a_while_does_not_make_the_others_count_twice() -> None:
    recent = RecentGrowth()
    recent.note(0.0, {9110: {"posts": 100}, 9111: {"posts": 50}})
    recent.note(1.0, {9111: {"posts": 60}})  # killed
    recent.note(2.0, {9110: {"posts": 5}, 9111: {"posts": 70}})  # back, from zero
    assert recent.total("posts") == 175
    assert recent.rate("posts") == 12.5
