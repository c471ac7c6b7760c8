"""Python runs this file at its start where its folder is on PYTHONPATH: from then on nothing leaves the machine.

Loopback remains: over it one speaks to kernels, workers and browsers. Child processes are under it too, if they are
Python's and inherit the environment.
"""

import socket
import sys

LOCAL = {"", "localhost", "::1", "::", "0.0.0.0", socket.gethostname()}


class NetworkUsed(BaseException):
    """Not an Exception: code that tries the network and makes do without it shall be seen as well."""


def refuse(event, arguments):
    if event == "socket.connect" and arguments[0].type == socket.SOCK_DGRAM:
        return  # sends nothing: it is how a program asks which address the machine itself has
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""  # the address of a Unix socket is a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if isinstance(host, str) and host not in LOCAL and not host.startswith("127."):
        raise NetworkUsed(f"{event} to {host}")


sys.addaudithook(refuse)
