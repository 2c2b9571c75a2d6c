"""Stamps: tokens that say when they were written, so that a reader on the same machine can measure each one's delay.

A stamped token is `time.monotonic_ns()` in 20 digits and a space. Answers are rendered with a placeholder, and kept so;
the time goes in when the bytes are handed to the socket. Later events repeat the text, so the stamps are remembered: a
placeholder that stands alone is a token, a row of them is the text so far.
"""

import re
from typing import Final

_DIGITS: Final = 20  # 2**64 nanoseconds have as many
_PLACEHOLDER: Final = "7357" * (_DIGITS // 4) + " "
_ROW: Final = re.compile(rb"(?:%b)+" % _PLACEHOLDER.encode())


def placeholders(count: int) -> tuple[str, ...]:
    """So many tokens to be stamped."""
    return (_PLACEHOLDER,) * count


def is_stamped(data: bytes) -> bool:
    """Whether there is something to stamp in it."""
    return _PLACEHOLDER.encode() in data


class Stamper:
    """Stamps one stream, in order. `written` is shared by all streams of one answer: who replays it repeats them."""

    def __init__(self, total: int, *, written: list[bytes], skipped: int = 0) -> None:
        """`total` tokens are to be stamped, `skipped` of which this stream does not send."""
        self._total = total
        self._written = written
        self._sent = skipped

    def __call__(self, data: bytes, *, now_ns: int) -> bytes:
        """The bytes with their placeholders filled; `now_ns` is the time for tokens nobody has sent before."""
        stamp = b"%0*d " % (_DIGITS, now_ns)

        def fill(row: re.Match[bytes]) -> bytes:
            length = len(row[0]) // len(_PLACEHOLDER)
            if length == 1 and self._sent < self._total:
                self._sent += 1
                self._remember(self._sent, stamp)
                return self._written[self._sent - 1]
            self._remember(length, stamp)
            return b"".join(self._written[:length])

        return _ROW.sub(fill, data)

    def _remember(self, count: int, stamp: bytes) -> None:
        self._written += [stamp] * (count - len(self._written))
