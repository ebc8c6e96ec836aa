"""A port of loopback for a server that comes later, or goes and comes back."""

import socket

_kept: list[socket.socket] = []


def free_port() -> int:
    """A port nobody uses, and nobody is given by the system while this process lives.

    It stays bound here, not listening: who calls it is refused until a server listens there, which with SO_REUSEADDR
    (all of ours, asyncio's and http.server's) it may beside us. A port that was merely looked up and let go of is soon
    another's on a machine with thousands of connections.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _kept.append(sock)
    return int(sock.getsockname()[1])
