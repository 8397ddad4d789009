"""The ports to serve on, checked before anything is started."""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from hub2triton.error import ServeError, UsageError
from hub2triton.serve.options import variable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub2triton.serve.options import Options


@dataclass(frozen=True)
class Port:
    """A port one of the servers will bind.

    Attributes:
        flag: The option that sets the number.
        host_flag: The option that sets the host.
    """

    host: str
    number: int
    flag: str
    host_flag: str


def ports(options: Options) -> tuple[Port, ...]:
    """All ports that serving with these options takes."""
    triton = (("--http-port", options.http_port), ("--grpc-port", options.grpc_port))
    taken = [Port(options.triton_host, number, flag, "--triton-host") for flag, number in triton]
    taken.append(Port(options.triton_host, options.metrics_port, "--metrics-port", "--triton-host"))
    if options.shim:
        taken.insert(0, Port(options.host, options.port, "--port", "--host"))
    return tuple(taken)


def check(wanted: Sequence[Port]) -> None:
    """Binds every port once, and gives it back.

    Raises:
        UsageError: Two options ask for the same port.
        ServeError: A port is taken or may not be bound, or a host is not an address of this machine.
    """
    flags: dict[int, str] = {}
    for port in wanted:
        if port.number in flags:
            message = f"{flags[port.number]} and {port.flag} are both {port.number}. Give one of them another port."
            raise UsageError(message)
        flags[port.number] = port.flag
    for port in wanted:
        _bind(port)


def _bind(port: Port) -> None:
    try:
        address = socket.getaddrinfo(port.host or None, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(address[0], address[1]) as bound:
            # A port whose last connections are in TIME_WAIT is free; one that somebody listens on still fails.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address[4])
            bound.listen(1)
    except OSError as error:
        raise ServeError(_explain(port, error)) from error


def _explain(port: Port, error: OSError) -> str:
    change = f"{port.flag} N (or {variable(port.flag)}=N)"
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port.number)
        return f"Port {port.number} ({port.flag}) is taken{holder}. Stop it, or choose another port: {change}."
    if error.errno == errno.EACCES:
        return f"Port {port.number} ({port.flag}) needs more rights than this user has. Choose another: {change}."
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return (
            f"{port.host!r} is not an address of this machine ({error.strerror}). "
            f"Give another with {port.host_flag}: 127.0.0.1 for this machine only, 0.0.0.0 for every network."
        )
    return f"Port {port.number} ({port.flag}) cannot be bound on {port.host}: {error.strerror}. Try another: {change}."


def _holder(number: int) -> str:
    """` by tritonserver (process 1234)`; empty where this user may not see it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == number
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""
