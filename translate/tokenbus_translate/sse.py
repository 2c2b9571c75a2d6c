"""Server-sent events, decoded incrementally.

The rules of https://html.spec.whatwg.org/multipage/server-sent-events.html, for what LLM upstreams send: only `data`
matters; `event`, `id` and `retry` are ignored, since the payload's own `type` says the same. Lines end in LF, CR or
CRLF; bytes may be split anywhere, inside a character or between CR and LF too.
"""

from typing import Final

DEFAULT_MAX_EVENT_BYTES: Final = 32 * 2**20
"""The largest sensible event is a generated image in base64."""

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = 0x0D
_LF: Final = 0x0A


class EventTooLargeError(ValueError):
    """One event is over `max_event_bytes`; nothing after it can be read."""

    def __init__(self, *, max_event_bytes: int) -> None:
        super().__init__(f"an event of the stream is over {max_event_bytes} bytes")
        self.max_event_bytes = max_event_bytes


class SSEDecoder:
    """Bytes in any chunking in, `data` payloads out."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self.comments = 0
        """Comment lines so far: keep-alives, which are no progress."""
        self._max = max_event_bytes
        self._line: list[bytes] = []  # the start of a line whose end has not come
        self._line_bytes = 0
        self._data: list[bytes] = []  # the data lines of an event whose blank line has not come
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that `chunk` completes, in order. Raises `EventTooLargeError`."""
        if self._after_cr or _CR in chunk:
            chunk = self._lf_only(chunk)
        if self._line:
            if _LF not in chunk:
                self._hold(chunk)
                return []
            chunk = b"".join((*self._line, chunk))
            self._line.clear()
            self._line_bytes = 0
        lines = chunk.split(b"\n")
        if rest := lines.pop():
            self._hold(rest)
        return self._payloads(lines)

    def close(self) -> list[bytes]:
        """The payload of a last event that lacks its blank line, as sloppy upstreams end; a cut line is left out."""
        self._line.clear()
        return self._payloads([b""])

    def _payloads(self, lines: list[bytes]) -> list[bytes]:
        if self._at_start and lines:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        payloads: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data: "):
                data.append(line[6:])
            elif line:
                self._other_line(line)
            elif data:
                payload = data[0] if len(data) == 1 else b"\n".join(data)
                data.clear()
                if len(payload) > self._max:
                    raise EventTooLargeError(max_event_bytes=self._max)
                if payload:
                    payloads.append(payload)
        if data and sum(map(len, data)) > self._max:
            raise EventTooLargeError(max_event_bytes=self._max)
        return payloads

    def _other_line(self, line: bytes) -> None:
        if line.startswith(b":"):
            self.comments += 1
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))

    def _lf_only(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a CRLF whose CR has already counted as a line end
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, part: bytes) -> None:
        self._line.append(part)
        self._line_bytes += len(part)
        if self._line_bytes > self._max + len(b"data: "):
            raise EventTooLargeError(max_event_bytes=self._max)
