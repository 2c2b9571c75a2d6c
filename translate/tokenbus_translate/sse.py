"""Server-sent events, decoded incrementally.

The rules of https://html.spec.whatwg.org/multipage/server-sent-events.html (read 2026-08-21), for what LLM upstreams
send: only `data` matters; `event`, `id` and `retry` are ignored, since the payload's own `type` says the same. Lines
end in LF, CR or CRLF; bytes may be split anywhere, inside a character or between CR and LF too.
"""

from typing import Final

DEFAULT_MAX_EVENT_BYTES: Final = 32 * 2**20
"""The largest sensible event is a generated image in base64."""

_BOM: Final = b"\xef\xbb\xbf"
_BLANK_LINE: Final = b"\n\n"


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
        self._held: list[bytes] = []  # the start of an event whose end has not come
        self._held_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that `chunk` completes, in order. Raises `EventTooLargeError`."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._lf_only(chunk)
        if not chunk:
            return []
        held = self._held
        if held:
            if _BLANK_LINE not in chunk and not (chunk[:1] == b"\n" and held[-1][-1:] == b"\n"):
                self._hold(chunk)
                return []
            chunk = b"".join((*held, chunk))
            held.clear()
            self._held_bytes = 0
        end = chunk.rfind(_BLANK_LINE)
        if end < 0:
            self._hold(chunk)
            return []
        if end + 2 < len(chunk):
            self._hold(chunk[end + 2 :])
        return self._payloads(chunk[:end])

    def close(self) -> list[bytes]:
        """The payload of a last event that lacks its blank line, as sloppy upstreams end; a cut line is left out."""
        rest = b"".join(self._held)
        self._held.clear()
        return self._payloads(rest[: rest.rfind(b"\n") + 1])

    def _lf_only(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a CRLF whose CR has already counted as a line end
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, chunk: bytes) -> None:
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > self._max + 1:  # one for the line end of an event that is exactly full
            raise EventTooLargeError(max_event_bytes=self._max)

    def _payloads(self, text: bytes) -> list[bytes]:
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix(_BOM)
        payloads: list[bytes] = []
        for block in text.split(_BLANK_LINE):
            if len(block) > self._max + 1:
                raise EventTooLargeError(max_event_bytes=self._max)
            # The two shapes nearly every event has: one `data` line, alone or after one `event` line.
            first, more, rest = block.partition(b"\n")
            if not more and first.startswith(b"data: "):
                payload = first[6:]
            elif rest.startswith(b"data: ") and first.startswith(b"event:") and b"\n" not in rest:
                payload = rest[6:]
            else:
                payload = self._any_block(block)
            if payload:
                payloads.append(payload)
        return payloads

    def _any_block(self, block: bytes) -> bytes:
        data: list[bytes] = []
        for line in block.split(b"\n"):
            if line.startswith(b":"):
                self.comments += 1
                continue
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
        return b"\n".join(data)
