"""The short list of harms: of what nothing is written, and to what nothing is answered.

Patterns over folded texts (`folding`). Few and plain, so that everybody can read what they catch;
they refuse rather too much. They are no judge of what people may say: posts are shown and counted
as before, only no model writes below them.
"""

import re
from typing import Final

_YOU: Final = r"(?:you|ya|u|him|her|them|they|he|she|it|us|everyone|everybody|these|those|all)"
_SELF: Final = r"(?:your ?self|my ?self|him ?self|her ?self|them ?selves|our ?selves|ur ?self)"
_KILL: Final = (
    r"(?:kill|shoot|stab|murder|hang|burn|bomb|behead|strangle|lynch|poison|execute|drown|rape)"
)
_PATTERNS: Final[dict[str, tuple[str, ...]]] = {
    "self_harm": (
        rf"\b(?:kill|hurt|harm|hang|cut|shoot|drown|starve|burn|poison)(?:ing|s)? {_SELF}\b",
        r"\bkys\b|\bunalive\b|\bsuicid\w*|\bself[- ]?harm\w*",
        r"\b(?:end|ending|take|taking) (?:my|your|his|her|their|ur) (?:own )?lif?ve?e?s?\b",
        r"\b(?:want|wanna|going|ready|wish) (?:to )?(?:die|be dead)\b|\bgo die\b",
        r"\b(?:overdos(?:e|ed|ing)|slit\w* \w+ wrists?|jump(?:ing)? off (?:a|the) (?:bridge|roof))",
        r"自杀|自殘|自残|轻生|想死|去死|割腕",
    ),
    "violence": (
        rf"\b(?:i|we|ill|i'll|imma|gonna|will|should|must|to|let's|lets|can|please) {_KILL} "
        rf"(?:\w+ ){{0,2}}{_YOU}\b",
        rf"\b(?:should|deserves?|needs?|ought|have|has|must) (?:to )?(?:all )?(?:be|get|die)\b"
        rf"(?: (?:{_KILL}\w*|shot|hung|dead|raped|burnt))?(?<=ed|ot|ng|nt|ie|ad)\b",
        rf"\b{_KILL} (?:all|every|those|these|the) (?:\w+ ){{0,2}}\w+s\b",
        r"\b(?:bomb|death) threat|\b(?:school|mass) shoot\w*|\bshoot(?:ing)? up (?:a|the|my)\b",
        r"\bgas the\b|\bethnic cleansing\b|\bexterminat\w+|\bgenocid\w+",
        r"杀了(?:你|他|她)|杀光|弄死|砍死|强奸",
    ),
    "hate": (
        r"\bn[i]+gg+(?:er|a|uh|ers|as|az)s?\b|\bfag+(?:ot|s|ots)?\b|\bk[iy]kes?\b|\bsp[i]cs?\b",
        r"\bch[i]nks?\b|\bgooks?\b|\bwetbacks?\b|\btrann(?:y|ies)\b|\bretards?\b|\braghead\w*",
        r"\bsubhumans?\b|\bvermin\b|\bgo back to (?:your|their) (?:own )?countr",
        r"\bhe[i]l hitler\b|\bwhite power\b",
        r"\b(?:all|those|these) \w+s are (?:animals|rapists|rats)",
        r"支那|尼哥|死基佬",
    ),
    "sexual": (
        r"\bporn\w*|\bnudes?\b|\bblow ?jobs?\b|\bhand ?jobs?\b|\bcum(?:shot|ming)?\b|\borgasm\w*",
        r"\b(?:suck|ride) (?:my|his|your) (?:dick|cock)\b|\bonlyfans\b|\bhentai\b|\bpedo\w*",
        r"\b(?:sex|sexual|sexy|naked|nude)\b.{0,40}\b(?:child|children|kids?|minors?|teens?|girls?)\b",
        r"\b(?:child|children|kids?|minors?|underage|teens?)\b.{0,40}\b(?:sex|sexual|sexy|naked)\b",
        r"色情|裸照|约炮|幼女",
    ),
    "crime": (
        r"\b(?:make|build|making|building|assemble) (?:a |an |your own )?(?:\w+ )?"
        r"(?:bombs?|explosives?|molotovs?|silencers?|ghost guns?|nerve agents?|ricin)\b",
        r"\b(?:cook|make|synthesi[sz]e|making|cooking) (?:some )?(?:meth\w*|fentanyl|heroin)\b",
        r"\b(?:buy|sell|score|selling) (?:some )?(?:meth|cocaine|heroin|fentanyl|stolen|guns?)\b",
        r"\b(?:steal|hack)(?:ing)? (?:in ?to )?(?:\w+ ){0,2}(?:accounts?|cards?|passwords?)\b",
        r"\b(?:home|house) address\b|\bdox+(?:x?ing|x?ed|x)?\b|\bwhere (?:he|she|they) lives?\b",
        r"炸弹制作|制毒|贩毒|人肉搜索",
    ),
}
HARMS: Final = {
    name: re.compile("|".join(f"(?:{one})" for one in patterns))
    for name, patterns in _PATTERNS.items()
}


def harm_of(text: str) -> str:
    """Return the harm that a folded text touches on, "" if none of the list.

    Example:
        >>> harm_of("just kill yourself"), harm_of("this traffic kills me")
        ('self_harm', '')
    """
    return next((name for name, pattern in HARMS.items() if pattern.search(text)), "")
