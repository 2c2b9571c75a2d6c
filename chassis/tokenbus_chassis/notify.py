"""Tell the process that started us that we are ready: systemd's sd_notify protocol.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. A datagram `READY=1` goes to the Unix
socket named in `NOTIFY_SOCKET`; without that variable nothing happens. systemd, and `tokenbus up`, wait for it.
"""

import logging
import socket

_log = logging.getLogger(__name__)


def ready_message(status: str) -> str:
    """`READY=1`, and what `status` says in one line if it says anything."""
    return f"READY=1\nSTATUS={status}" if status else "READY=1"


def notify(state: str, *, notify_socket: str | None) -> None:
    """Send `state` to `notify_socket`: a path, or an abstract name led by `@`; None: nobody.

    A socket that can not be reached is logged and ignored: being watched is no condition of working.
    """
    if not notify_socket:
        return
    address = "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.sendto(state.encode(), address)
    except OSError as error:
        _log.warning("cannot notify the supervisor", extra={"notify_socket": notify_socket, "problem": str(error)})
