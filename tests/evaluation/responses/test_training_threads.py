from evaluation.responses.threads import Thread, ThreadSet
from evaluation.responses.training_threads import apart

LONG = "a sentence that is long enough to be a copy"


def made(train: list[Thread], test: list[Thread]) -> ThreadSet:
    return ThreadSet("made up", "en", train, test, {})


def test_what_one_set_judges_is_not_learnt_from_another() -> None:
    judged = Thread(LONG, ("Another sentence, also long enough for that",), "2")
    one = made([Thread("early", ("yes",), "1")], [judged])
    other = made(
        [
            Thread(LONG.upper(), ("gone with its post",), "3"),
            Thread("late", ("another sentence, also  long enough for that", "kept"), "0"),
            Thread("empty", ("another sentence, also long enough for that",), "0"),
        ],
        [Thread("x", ("y",), "9")],
    )
    assert [(thread.post, thread.replies) for thread in apart([one, other])] == [
        ("late", ("kept",)),
        ("early", ("yes",)),
    ]
