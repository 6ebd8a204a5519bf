"""What queries look for, as a digest: another expression or another part is another meaning."""

from stream.queries.catalog import Query
from stream.queries.expression import look_in
from stream.queries.grammar import parse
from stream.queries.matcher import Matcher
from stream.queries.meaning import digest_of, meaning_of
from stream.queries.parts import Part


def test_a_changed_expression_under_a_name_is_another_digest() -> None:
    late, later = Query("a", parse("late")), Query("a", parse("late OR later"))
    other = Query("b", parse("late"))
    digests = {digest_of(queries) for queries in ([late], [later], [other], [late, other], [])}
    assert len(digests) == 5
    assert digest_of([Query("a", parse("late"), title="Delays")]) == digest_of([late])
    assert Matcher([late, other]).digest == digest_of([late, other])


def test_the_parts_that_are_looked_in_are_a_part_of_the_meaning() -> None:
    written = parse("NOT lang:en AND late")
    assert meaning_of(look_in(written, Part.TEXT)) != meaning_of(written)
