"""What platforms send as the text that a reader sees. Pure; never raises, whatever is given.

Every source puts a text through one of these, once: `plain_text` where the platform has text,
`html_text` or `read_html` where it has HTML, `readable_text` where nobody says which. Each undoes
entities exactly once, so that who writes about `&amp;amp;` is quoted as written. What is left is
told apart into words by `stream.queries.folding`.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from core import reasons

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

# C0 and C1 controls except tab and line ends: they carry no words and break terminals and logs.
_CONTROLS: Final = {
    code: " " for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code not in (9, 10, 13)
}
# With its semicolon only: `?a=1&copy=2` is an address and no sign of copyright.
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Elements that posts are written in. Others in angle brackets are text: "<3", "<your name>".
_MARKUP: Final = re.compile(
    r"</?(?:p|br|a|div|span|b|i|u|s|em|strong|del|ul|ol|li|blockquote|pre|code|img|h[1-6])"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)

MAX_HTML_CHARS: Final = 65_536
"""More markup is cut before it is read: deeply nested elements cost their square (0.4 s here)."""

_PARAGRAPHS: Final = frozenset(
    ("p", "ul", "ol", "pre", "blockquote", "table", "h1", "h2", "h3", "h4", "h5", "h6", "dl")
)
_LINES: Final = frozenset(
    (
        "div",
        "li",
        "tr",
        "dt",
        "dd",
        "section",
        "article",
        "header",
        "footer",
        "figure",
        "figcaption",
    )
)
_UNREAD: Final = frozenset(
    ("script", "style", "template", "noscript", "iframe", "object", "svg", "math", "head", "title",
     "textarea", "select", "audio", "video")
)  # fmt: skip
_HIDDEN_CLASSES: Final = frozenset(("invisible", "quote-inline"))
"""Mastodon: the parts of a link that are folded away, and the link to a quoted post that stands
in for the quotation."""
_NO_ADDRESS_CLASSES: Final = frozenset(("mention", "hashtag"))
_SPACES: Final = re.compile(r"[ \t\r\n\f\v]+")
_BREAKS: Final = re.compile(r" *\n *")
_MANY_BREAKS: Final = re.compile(r"\n{3,}")


def plain_text(text: str) -> str:
    """Return a text without markup as it reads: entities are undone, once.

    Example:
        >>> plain_text("food &amp; drink &lt;3 &amp;amp; ?a=1&copy=2")
        'food & drink <3 &amp; ?a=1&copy=2'
    """
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)


def is_markup(text: str) -> bool:
    """Tell whether a text is HTML: whether it has a tag that posts are written in.

    Example:
        >>> is_markup("<p>so kind</p>"), is_markup("I <3 it, <name>")
        (True, False)
    """
    return "<" in text and _MARKUP.search(text) is not None


def readable_text(text: str) -> str:
    """Return what a reader sees of a text that may be HTML or not.

    Example:
        >>> readable_text("<p>flood &amp; x</p>"), readable_text("flood &amp; <3")
        ('flood & x', 'flood & <3')
    """
    return html_text(text) if is_markup(text) else plain_text(text)


def printable(text: str, most: int = 0) -> str:
    """Return text on one line that does no harm to a terminal, cut to so many characters."""
    safe = "".join(char if char.isprintable() else " " for char in text)
    return f"{safe[: most - 1]}…" if most and len(safe) > most else safe


def clean_text(text: str) -> tuple[str, str | None]:
    """Return the text without control characters, and the repair that it took, if any."""
    if text.isprintable():
        return (text, None) if text and not text.isspace() else ("", reasons.EMPTY_TEXT)
    cleaned = text.translate(_CONTROLS)
    if not cleaned.strip():
        return "", reasons.EMPTY_TEXT
    return cleaned, reasons.CONTROL_CHARACTERS if cleaned != text else None


def html_text(markup: str) -> str:
    r"""Return what a reader sees of a piece of HTML.

    Paragraphs are an empty line apart, `<br>` and list items start a line; links, mentions and
    hashtags stay as they are shown, without what Mastodon folds away; scripts and styles are left
    out.

    Example:
        >>> html_text('<p>One<br>two &amp; <a href="/t/x">#<span>x</span></a></p><p>three</p>')
        'One\ntwo & #x\n\nthree'
    """
    return read_html(markup)[0]


def read_html(markup: str) -> tuple[str, tuple[str, ...]]:
    """Return what a reader sees of a piece of HTML, and the addresses that its links lead to.

    Links to people and hashtags, as Mastodon marks them, are not among the addresses.

    Example:
        >>> read_html('see <a href="https://x.example/flood">here</a>')
        ('see here', ('https://x.example/flood',))
    """
    safe = markup[:MAX_HTML_CHARS].encode("utf-8", "replace").decode("utf-8")
    if "<" not in safe and "&" not in safe:
        return safe.strip(), ()
    from selectolax.lexbor import LexborHTMLParser  # workers clean texts and read no HTML

    root = LexborHTMLParser(safe).body
    if root is None:
        return "", ()
    pieces, links = _pieces(root)
    text = _BREAKS.sub("\n", re.sub(r" {2,}", " ", "".join(pieces)))
    return _MANY_BREAKS.sub("\n\n", text).strip(), tuple(dict.fromkeys(links))


def _pieces(root: LexborNode) -> tuple[list[str], list[str]]:
    """Walk the tree without recursion: markup may nest deeper than Python calls may.

    Returns:
        The pieces of the text in order, and the addresses of links.
    """
    pieces: list[str] = []
    links: list[str] = []
    node: LexborNode | None = root.child
    depth = 0
    while node is not None:
        child = None
        if _open(node, pieces, links):
            child = node.child
            if child is None:
                _close(node, pieces)
        if child is not None:
            node, depth = child, depth + 1
            continue
        while node is not None and node.next is None and depth:
            node, depth = node.parent, depth - 1
            if node is not None:
                _close(node, pieces)
        node = None if node is None else node.next
    return pieces, links


def _open(node: LexborNode, pieces: list[str], links: list[str]) -> bool:
    """Write what stands before a node's children; False if they are not to be read."""
    tag = node.tag
    if tag == "-text":
        pieces.append(_SPACES.sub(" ", node.text_content or ""))
        return True
    if tag is None or tag in _UNREAD or tag.startswith("-"):
        return False
    if tag == "br":
        pieces.append("\n")
    elif tag == "img":
        pieces.append(node.attributes.get("alt") or "")
    elif tag in _PARAGRAPHS:
        pieces.append("\n\n")
    elif tag in _LINES:
        pieces.append("\n- " if tag == "li" else "\n")
    classes = _classes(node)
    if tag == "a" and not classes & _NO_ADDRESS_CLASSES:
        address = (node.attributes.get("href") or "").strip()
        if address.lower().startswith(("http://", "https://")):
            links.append(address)
    return not (classes & _HIDDEN_CLASSES)


def _close(node: LexborNode, pieces: list[str]) -> None:
    tag = node.tag
    if tag in _PARAGRAPHS:
        pieces.append("\n\n")
    elif tag in _LINES:
        pieces.append("\n")
    elif tag in ("td", "th"):
        pieces.append(" ")
    elif tag == "span" and "ellipsis" in _classes(node):
        pieces.append("…")


def _classes(node: LexborNode) -> set[str]:
    return set((node.attributes.get("class") or "").split())
