"""A similar past event is found by its rare words; common words make nobody similar."""

from services.responder.similar import PastEvents

COMMON = "the people of this town are in the street and it is about what they have now"


def known() -> PastEvents:
    past = PastEvents()
    for number in range(4_000):
        past.read(f"s|{number}", f"{COMMON} number {number % 91} thing {number % 83}")
    past.add("s|strike", "the train strike begins on monday and nobody gets to work")
    past.add("s|flood", "the flood has reached the old bridge of the town")
    return past


def test_the_event_about_the_same_is_first_and_the_others_are_not_there() -> None:
    past = known()
    found = past.similar("train strike again: no work on monday", 0.3)
    assert [name for _, name in found] == ["s|strike"]
    assert 0.3 <= found[0][0] <= 1
    assert past.similar("the train strike begins on monday and nobody gets to work", 0.9)
    past.remove("s|strike")
    assert past.similar("train strike again: no work on monday", 0.3) == []


def test_common_words_and_one_rare_word_are_not_enough() -> None:
    past = known()
    assert past.similar(COMMON, 0.3) == []
    assert past.similar("a flood of letters to the editor of our paper", 0.3) == []
    assert past.similar("", 0.3) == []
    assert PastEvents().similar("the train strike", 0.3) == []


def test_an_event_is_not_similar_to_itself_and_chinese_is_read_sign_by_sign() -> None:
    past = known()
    past.add("s|zh", "今天的火车又晚点了大家都很生气")
    assert past.similar("the flood has reached the bridge", 0.3, but="s|flood") == []
    assert [name for _, name in past.similar("火车又晚点了真生气", 0.3)] == ["s|zh"]
