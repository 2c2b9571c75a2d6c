"""How much of a message is ours to fill."""

from typing import Final

RESERVED_BYTES: Final = 1024
"""Of max_payload, for headers and for the frame that a replay puts around an event."""
