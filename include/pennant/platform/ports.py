"""Ports of the loopback address: which are free, and who holds the others."""

import errno
import socket

import psutil

from pennant.platform.faults import PortTaken

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True when a server could listen on `port` of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port in TIME_WAIT after our own restart is free for a server: servers set this flag too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def require_free(name: str, port: int, variable: str) -> None:
    """Refuse to start `name` when its port is taken.

    Raises:
        PortTaken: with the holder where this user may know it.
    """
    if not is_free(port):
        raise PortTaken(name, port, variable, holder(port))


def holder(port: int) -> str | None:
    """Name and pid of the process that listens on `port`, or None when this user may not know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for each in connections:
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN and each.pid:
            try:
                return f"{psutil.Process(each.pid).name()} (process {each.pid})"
            except psutil.Error:
                return f"process {each.pid}"
    return None


def unused_ports(count: int) -> list[int]:
    """`count` different ports that are free at this moment; for tests and second stacks."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
