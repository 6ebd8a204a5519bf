"""HTML of posts as the text that a reader sees. Pure; never raises, whatever the markup."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

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
_SPACES: Final = re.compile(r"[ \t\r\n\f\v]+")
_BREAKS: Final = re.compile(r" *\n *")
_MANY_BREAKS: Final = re.compile(r"\n{3,}")


def html_text(markup: str) -> str:
    r"""Return what a reader sees of a piece of HTML.

    Paragraphs are an empty line apart, `<br>` and list items start a line; links, mentions and
    hashtags stay as they are shown, without what Mastodon folds away; scripts and styles are left
    out.

    Example:
        >>> html_text('<p>One<br>two &amp; <a href="/t/x">#<span>x</span></a></p><p>three</p>')
        'One\ntwo & #x\n\nthree'
    """
    safe = markup[:MAX_HTML_CHARS].encode("utf-8", "replace").decode("utf-8")
    if "<" not in safe and "&" not in safe:
        return safe.strip()
    root = LexborHTMLParser(safe).body
    if root is None:
        return ""
    text = "".join(_pieces(root))
    text = _BREAKS.sub("\n", re.sub(r" {2,}", " ", text))
    return _MANY_BREAKS.sub("\n\n", text).strip()


def _pieces(root: LexborNode) -> list[str]:
    """Walk the tree without recursion: markup may nest deeper than Python calls may."""
    pieces: list[str] = []
    node: LexborNode | None = root.child
    depth = 0
    while node is not None:
        child = None
        if _open(node, pieces):
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
    return pieces


def _open(node: LexborNode, pieces: list[str]) -> bool:
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
