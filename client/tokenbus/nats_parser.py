"""nats-py's parser, made to read whatever the server delivers: one odd message must not deafen its reader.

nats-server takes any bytes as a subject, but for blank, tab and line end, and any bytes as headers, from whoever may
publish. In nats-py 2.16.0 a subject that is no UTF-8, a status line that is none, or a form feed in a subject ends the
read loop, or stops it for good: the process looks alive and hears nothing until its pings go unanswered. From a queue
the message comes back after that, so that one publish would keep a service from working for ever.
"""

import re
from types import FunctionType
from typing import Final

from nats.protocol import parser
from nats.protocol.parser import Parser

_TEXT: Final = rb"([^ \t\r\n]+)"
_REPLY: Final = rb"(" + _TEXT + rb"[ \t]+)?"
_MESSAGE: Final = re.compile(rb"\AMSG[ \t]+" + _TEXT + rb"[ \t]+([0-9]+)[ \t]+" + _REPLY + rb"([0-9]+)\r\n")
_WITH_HEADERS: Final = re.compile(
    rb"\AHMSG[ \t]+" + _TEXT + rb"[ \t]+([0-9]+)[ \t]+" + _REPLY + rb"([0-9]+)[ \t]+([0-9]+)\r\n"
)


class TolerantParser(Parser):
    """Parts subjects only where nats-server does: at blanks and tabs."""

    # Its two patterns are globals of its module. To set them there would change every client of the process.
    parse = FunctionType(
        Parser.parse.__code__, {**vars(parser), "MSG_RE": _MESSAGE, "HMSG_RE": _WITH_HEADERS}, argdefs=(b"",)
    )


def as_text(token: bytes) -> bytes:
    """A subject that can be decoded: what is no UTF-8 becomes U+FFFD, so that it equals no subject of ours."""
    return token.decode(errors="replace").encode()
