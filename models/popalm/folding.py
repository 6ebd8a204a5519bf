"""What a text says however it is written: the form in which filters look at it.

Full-width and stylised letters, letters of other scripts that look like Latin ones, digits in
place of letters and single letters with signs between them are read as what people read.
"""

import re
import unicodedata
from typing import Final

_ALIKE: Final = str.maketrans("аеорсухкіјѕтмнвԁɡαοερνικτ", "aeopcyxkijstmhbdgaoepvikt")
"""Cyrillic and Greek letters that are read as Latin ones."""
_DIGITS: Final = str.maketrans("013457@$!", "oieastasi")
_HIDDEN: Final = {"Cc", "Cf", "Co", "Cs", "Cn"}
_SPACED: Final = re.compile(r"(?<![^\W_])(?:[^\W_][\s.\-_*]{1,2}){2,}[^\W_](?![^\W_])")
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CUT: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def plain(text: str) -> str:
    r"""Return a text in compatibility form, without signs that are not seen.

    Example:
        >>> plain("ｂｏｂ＠ｘ\u200b．com")
        'bob@x.com'
    """
    shown = "".join(
        sign for sign in text if sign in "\n\t" or unicodedata.category(sign) not in _HIDDEN
    )
    return unicodedata.normalize("NFKC", shown)


def hidden_signs(text: str) -> bool:
    """Tell whether a text has signs that steer what is shown, or are not shown, or are no signs."""
    return any(unicodedata.category(sign) in _HIDDEN | {"Zl", "Zp"} for sign in text)


def spelt_out(text: str) -> bool:
    """Tell whether a text has single letters with signs between them, three or more in a row.

    Example:
        >>> spelt_out("k y s"), spelt_out("a b-side is fine")
        (True, False)
    """
    return any(any(map(str.isalpha, found)) for found in _SPACED.findall(plain(text)))


def folded(text: str) -> str:
    """Return what a text reads like, in lower case and with single spaces.

    Example:
        >>> folded("K.1.L.L yоurself")
        'kill yourself'
    """
    lower = plain(text).casefold().translate(_ALIKE)
    bare = "".join(
        sign for sign in unicodedata.normalize("NFD", lower) if not unicodedata.combining(sign)
    )
    read = " ".join(_letters(word) for word in bare.split())
    return " ".join(_SPACED.sub(lambda found: _joined(found[0]), read).split())


def _letters(word: str) -> str:
    """Read digits as letters in a word that has letters; an exclamation mark may end it."""
    if not any(sign.isalpha() for sign in word):
        return word
    bare = word.rstrip("!")
    return bare.translate(_DIGITS) + word[len(bare) :]


def _joined(spaced: str) -> str:
    """Read single letters with signs between them as one word."""
    return _letters(re.sub(r"\W|_", "", spaced)) if any(map(str.isalpha, spaced)) else spaced


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; a sign of a script without spaces is a word.

    Example:
        >>> words_of("Don't go, 好吗")
        ["don't", 'go', '好', '吗']
    """
    return _WORD.findall(_CUT.sub(r" \g<0> ", plain(text).casefold()))
