"""What a generated reply may not be. Everything that a model wrote passes here, twice.

Once where it is written and once more at the edge of whoever asked. What is refused is counted by
reason and never shown. The filters refuse rather too much: of several candidates some are left.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from models.popalm.folding import folded, hidden_signs, plain, spelt_out, words_of
from models.popalm.harms import harm_of
from models.popalm.prompt import HEAD

MAX_CHARACTERS: Final = 240
"""A reply of 32 tokens has about 130."""
POST_HARM: Final = "post_harm"
POST_EMPTY: Final = "post_empty"
REASONS: Final = (
    "empty", "unfinished", "too_long", "characters", "mark", "link", "email", "handle", "number",
    "personal", "name", "harm", "copy", "repetition", "itself",
    "twin", POST_EMPTY, POST_HARM,
)  # fmt: skip
"""Why candidates are refused; `itself`: it speaks as a program; `twin`: another says the same;
`post_empty`, `post_harm`: the post is not answered at all."""

_MARKS: Final = re.compile(
    r"<\||\|>|im_(?:start|end)|endoftext|\[/?inst\]|<</?sys>>|</?s>|^\s*(?:system|user|assistant)\s*:"
    r"|\b(?:system|tool|developer)(?: prompt| message| call)\b|```|[{}]|</?[a-z][\w-]*[\s/>]"
)
_ITSELF: Final = re.compile(
    r"\bas an? (?:ai|text|language|virtual|digital)\b|\b(?:language|ai) models?\b|\bai assistant\b"
    r"|\b(?:text[- ]based|virtual|digital|writing) assistant\b"
    r"|\bi(?:'m|’m| am) an? (?:ai|assistant|bot)\b"
)
_EMAIL: Final = re.compile(
    r"[\w.+-]+\s?(?:@|\(at\)|\[at\]|\bat\b)\s?[\w-]+(?:\s?(?:\.|\(dot\)|\[dot\]|\bdot\b)\s?[^\W\d_]{2,})+"
)
_HANDLE: Final = re.compile(r"@|(?<![^\W_])u/\w|\b\w{2,}#\d{4}\b|\b(?:dm|follow|add) me\b")
_TOP: Final = r"(?:com|net|org|io|co|gg|me|ly|tv|app|dev|info|xyz|uk|de|cn|ru|social|edu|gov)"
_LINK: Final = re.compile(
    r"[a-z][a-z0-9+-]{1,15}://|\bhxxps?\b|\bwww[\s.\d]|\b(?:mailto|tel|javascript|data):\S"
    r"|[^\W_]\.[^\W\d_]{2,}|[^\W_]\.[^\W\d_]+/|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-f]*:[0-9a-f]*::"
    rf"|\w\s?(?:\(\.\)|\[\.\]|\(dot\)|\[dot\]|\bdot\b|[。｡․])\s?{_TOP}\b|\w\s\.\s?{_TOP}\b"
)
_NUMBER: Final = re.compile(r"(?:\d[^\w,]{0,3}){6,}\d|(?:\d[\s,]?){9,}")
_DIGIT_WORDS: Final = re.compile(
    r"(?:\b(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)\b[\s,.-]*){5,}"
)
_PERSONAL: Final = re.compile(
    r"\b\d{1,5}[a-z]?\s+(?:\w+\s+){1,3}(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|blvd"
    r"|boulevard|court|ct|way|square|terrace)\b|\b-?\d{1,3}\.\d{3,}\s*[,;]\s*-?\d{1,3}\.\d{3,}"
    r"|\b[a-z]{2}\d{2}(?:\s?[a-z0-9]{4}){3,}|\b(?=\w*\d)(?=\w*[a-z])\w{20,}\b"
    r"|\b(?:ssn|social security|passport|date of birth|d\.?o\.?b|iban|pin code|cvv|password is)\b"
    r"|\d+\s?(?:号|弄|室|栋)|身份证|手机号|微信号"
)
_TITLE: Final = re.compile(
    r"\b(?i:mr|mrs|dr|prof)\b\.?\s+\w|\b(?i:ms|miss|president|senator|sir|lady|king|queen|prince"
    r"|princess|pope|judge|officer|captain|governor|mayor|minister|uncle|aunt)\b\.?\s+[A-Z]"
    r"|[\u4e00-\u9fff](?:先生|女士|小姐|总统|主席|总理|老师|医生|同志)"
)
_CAPITAL: Final = re.compile(r"[^\W\d_][^\W_]*(?:['’-][^\W\d_]+)*")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？:;\"“”'(]\s*$|^\s*[^\w]*$")
_USUAL_CAPITALS: Final = frozenset(
    {"i", "i'm", "i'll", "i'd", "i've", "monday", "tuesday", "wednesday", "thursday", "friday",
     "saturday", "sunday", "january", "february", "march", "april", "may", "june", "july", "august",
     "september", "october", "november", "december", "christmas", "easter", "halloween", "english",
     "god", "tv", "ok", "internet"}
)  # fmt: skip
_SURNAMES: Final = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
)
_CHINESE_NAME: Final = re.compile(
    rf"[{_SURNAMES}]某|[@＠]?[{_SURNAMES}][一-鿿]{{1,2}}(?:说|表示|称|叫)"
)


def post_fault(post: str) -> str:
    """Return why nothing is written below a post, "" if it is answered."""
    if not plain(post).strip():
        return POST_EMPTY
    return POST_HARM if harm_of(folded(post)) else ""


def tidied(text: str, has_ended: bool) -> str:
    """Return a candidate as one line that ends where a sentence does.

    Args:
        text: What was written.
        has_ended: Whether it ended by itself; if not, its last sentence is not whole.

    Example:
        >>> tidied(" Great news! I was just about to", has_ended=False)
        'Great news!'
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    line = " ".join(lines[0].split()) if lines else ""
    if has_ended or len(lines) > 1:
        return line
    ends = [found.end() for found in re.finditer(r"[.!?…。！？](?=\s|$)|[。！？]", line)]
    return line[: ends[-1]] if ends else ""


def reply_fault(post: str, reply: str) -> str:
    """Return why a reply to a post may not be shown, one of `REASONS`; "" if it may.

    Args:
        post: The text of the post.
        reply: The reply, tidied.
    """
    if not reply.strip():
        return "empty"
    if len(reply) > MAX_CHARACTERS:
        return "too_long"
    if hidden_signs(reply) or reply != " ".join(reply.split()):
        return "characters"
    shown, read = plain(reply), folded(reply)
    for reason, holds in (
        ("mark", _MARKS.search(shown.casefold()) or _tells_instruction(reply)),
        ("email", _EMAIL.search(shown.casefold())),
        ("link", _LINK.search(shown.casefold()) or _LINK.search(reply.casefold())),
        ("handle", _HANDLE.search(shown.casefold())),
        ("number", _NUMBER.search(shown) or _DIGIT_WORDS.search(read)),
        ("personal", _PERSONAL.search(shown.casefold())),
        # Letters are spelt out so that no filter reads the word.
        ("harm", harm_of(read) or spelt_out(reply)),
        ("name", _names_somebody(shown)),
        ("copy", is_copy(post, reply)),
        ("repetition", _repeats_itself(words_of(reply))),
        ("itself", _ITSELF.search(shown.casefold())),
    ):
        if holds:
            return reason
    return ""


def _tells_instruction(reply: str) -> bool:
    """Tell whether a reply gives away what the decoder is asked."""
    return _longest_run(words_of(HEAD), words_of(reply)) >= 5


@cache
def given_names() -> frozenset[str]:
    """Return frequent names of persons, in lower case, that are no words."""
    lines = Path(__file__).with_name("names.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(" ".join(line for line in lines if not line.startswith("#")).split())


def _names_somebody(text: str) -> bool:
    """Tell whether a text names somebody, or may: a capital where no sentence begins."""
    if _TITLE.search(text) or _CHINESE_NAME.search(text):
        return True
    words = list(_CAPITAL.finditer(text))
    if any(re.sub(r"['’]s$", "", word[0].casefold()) in given_names() for word in words):
        return True
    shouts = sum(word[0].isupper() and len(word[0]) > 1 for word in words) * 2 > len(words)
    return not shouts and any(
        word[0][0].isupper()
        and word[0].casefold().replace("’", "'") not in _USUAL_CAPITALS
        and not (word[0].isupper() and len(word[0]) <= 4)
        and not _SENTENCE_END.search(text[: word.start()])
        for word in words
    )


def is_copy(post: str, reply: str) -> bool:
    """Tell whether half of a reply, or of the post, is one run of the other's words."""
    asked, said = words_of(post), words_of(reply)
    run = _longest_run(asked, said)
    return run >= 2 and (2 * run >= len(said) or (run >= 4 and 2 * run >= len(asked)))


def _longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest run of words that both have."""
    longest, before = 0, [0] * (len(other) + 1)
    for word in one:
        here = [0] * (len(other) + 1)
        for place, same in enumerate(other, start=1):
            if word == same:
                here[place] = before[place - 1] + 1
                longest = max(longest, here[place])
        before = here
    return longest


def _repeats_itself(words: Sequence[str]) -> bool:
    """Tell whether most words of a text of some length have stood before."""
    return len(words) >= 6 and 2 * len(set(words)) <= len(words)
