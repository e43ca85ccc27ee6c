"""Run as a program: hand out sockets of the network namespace that guacd's sandbox has.

``guacdsockets.py <control> <process id>``. A socket belongs for ever to the namespace that its maker was in,
so this process only makes them: one for each byte that comes over the socket ``control``, sent back by
SCM_RIGHTS (unix(7)). Who asked connects or listens with it. No byte of a connection passes here, and guacd
cannot reach this process: it is in the sandbox's network only. Ends with the control socket. Standard
library only; one thread, as setns(2) demands.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import sys

ENTERED = b"entered"
SOCKET = b"socket"

_GET_OWNER = 0xB701
"""ioctl NS_GET_USERNS (ioctl_ns(2)): the user namespace that owns a namespace."""

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000


def main(control: socket.socket, process: int) -> None:
    """Enter the process' network, then answer until nobody asks any more."""
    _enter(process)
    control.send(ENTERED)
    while control.recv(1):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
            socket.send_fds(control, [SOCKET], [made.fileno()])


def _enter(process: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(network).st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116 - without pathlib
        raise OSError("the sandbox has no network of its own")
    owner = fcntl.ioctl(network, _GET_OWNER)
    # Rights over the network come with its owner, which this process (or its account) made.
    for namespace, kind in ((owner, _NEW_USER), (network, _NEW_NETWORK)):
        if libc.setns(namespace, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
        os.close(namespace)


if __name__ == "__main__":
    try:
        main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
    except OSError as error:
        sys.exit(f"guacd's network cannot be entered: {error}")
