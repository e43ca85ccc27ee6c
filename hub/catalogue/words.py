"""Which entries match these words? A small index of words and their beginnings.

Every word of the query must begin a word of the entry; case and accents do not count. The cost
grows with the answer, not with the number of entries.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

_WORD = re.compile(r"[a-z0-9]+")


def words_of(text: str) -> tuple[str, ...]:
    """Words of a text, folded: ``"Größe LaB6"`` gives ``("grosse", "lab6")``."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return tuple(_WORD.findall("".join(char for char in plain if not unicodedata.combining(char))))


def matches(query: Sequence[str], text: str) -> bool:
    """Whether each word of ``query`` begins a word of ``text``."""
    if not query:
        return True
    words = words_of(text)
    return all(any(word.startswith(asked) for word in words) for asked in query)


class WordIndex:
    """Numbers of entries by word, made once and never changed."""

    def __init__(self, texts: Iterable[str]) -> None:
        postings: dict[str, array[int]] = {}
        for number, text in enumerate(texts):
            for word in set(words_of(text)):
                postings.setdefault(word, array("I")).append(number)
        self._postings: Mapping[str, array[int]] = postings
        self._words = sorted(postings)

    def search(self, query: Sequence[str]) -> set[int]:
        """Numbers of the entries that match all words of ``query`` (folded by `words_of`)."""
        found: set[int] | None = None
        # The longest word is the rarest, as a rule: the smallest set first.
        for asked in sorted(query, key=len, reverse=True):
            numbers = self._beginning_with(asked)
            found = numbers if found is None else found & numbers
            if not found:
                break
        return found or set()

    def _beginning_with(self, beginning: str) -> set[int]:
        numbers: set[int] = set()
        at = bisect_left(self._words, beginning)
        while at < len(self._words) and self._words[at].startswith(beginning):
            numbers.update(self._postings[self._words[at]])
            at += 1
        return numbers
