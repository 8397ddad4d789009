"""Content that a payload names by its address: fetched from hosts that the operator allows, and from nowhere else."""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from hub2triton.shim.failure import Invalid
from hub2triton.tasks.media import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from hub2triton.tasks.spec import Call

    IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

REDIRECTS = 5
TIMEOUT_S = 20.0
"""For all of one link, its redirects included."""

AT_ONCE = 8
"""Links of one request that are fetched side by side."""

PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
OK, REDIRECTED = 200, (301, 302, 303, 307, 308)


class ForbiddenAddressError(Exception):
    """A host's address is not one of the public internet."""


class Links:
    """Follows the links of payloads, as far as the operator allows it.

    A host must be on the list of allowed ones, and so must every host that a link redirects to. Its address is looked
    up here, once, and it is that address which is connected to: a name that resolves to another address on a second
    look gains nothing. Proxies of the environment are not used.
    """

    def __init__(
        self, allowed: Sequence[str], limit: int, *, permitted: Callable[[IPAddress], bool] | None = None
    ) -> None:
        """Sets the rules.

        Args:
            allowed: Host names; `*.example.com` is every host below example.com, `*` every one. One with another port
                than 80 or 443 is named with it, as in `files.example.com:8443`. Empty: no link is followed.
            limit: Bytes of one file.
            permitted: Which addresses may be connected to; by default those of the public internet.
        """
        self._allowed = tuple(host.lower() for host in allowed)
        self._limit = limit
        self._backend = _GuardedBackend(permitted or is_public)

    async def followed(self, call: Call) -> Call:
        """The call with content in place of its links.

        Raises:
            Invalid: A link must not be followed (400), leads to nothing (400), or to too much (413).
        """
        links = {value for row in call.rows for value in row.values() if isinstance(value, Link)}
        if not links:
            return call
        if not self._allowed:
            raise Invalid(
                "this server fetches no links: send the file itself as the request's body or in base64 "
                "(an operator can allow hosts with --allow-urls)"
            )
        room = asyncio.Semaphore(AT_ONCE)
        async with httpcore.AsyncConnectionPool(network_backend=self._backend) as pool:
            ordered = sorted(links, key=lambda link: link.url)
            contents = await asyncio.gather(*(self._content(pool, link.url, room) for link in ordered))
        found = dict(zip(ordered, contents, strict=True))
        rows = [
            {name: found[value] if isinstance(value, Link) else value for name, value in row.items()}
            for row in call.rows
        ]
        return replace(call, rows=rows)

    async def _content(self, pool: httpcore.AsyncConnectionPool, url: str, room: asyncio.Semaphore) -> bytes:
        try:
            async with room, asyncio.timeout(TIMEOUT_S):
                return await self._fetched(pool, url)
        except TimeoutError:
            raise Invalid(f"the link {_shown(url)} was not read within {TIMEOUT_S:.0f} s; send the content") from None
        except ForbiddenAddressError:
            raise Invalid(f"the link {_shown(url)} leads to an address that is not public; send the content") from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            raise Invalid(f"the link {_shown(url)} could not be read; check it, or send the content") from None

    async def _fetched(self, pool: httpcore.AsyncConnectionPool, url: str) -> bytes:
        at = self._checked(url, None)
        for _ in range(REDIRECTS + 1):
            async with _get(pool, at) as response:
                if response.status not in REDIRECTED:
                    return await self._body(response, url)
                headers = {name.lower(): value for name, value in response.headers}
            at = self._checked(headers.get(b"location", b"").decode("ascii", "replace"), at)
        raise Invalid(f"the link {_shown(url)} redirects more than {REDIRECTS} times")

    async def _body(self, response: httpcore.Response, url: str) -> bytes:
        if response.status != OK:
            raise Invalid(f"the link {_shown(url)} gives HTTP {response.status} instead of a file")
        content = bytearray()
        async for part in response.aiter_stream():
            content += part
            if len(content) > self._limit:
                raise Invalid(f"the link {_shown(url)} leads to more than {self._limit:,} bytes", status=413)
        if not content:
            raise Invalid(f"the link {_shown(url)} leads to an empty file")
        return bytes(content)

    def _checked(self, url: str, base: httpx.URL | None) -> httpx.URL:
        """A URL whose host is allowed; a redirection's is relative to where it came from."""
        try:
            found = httpx.URL(url) if base is None else base.join(url)
        except (httpx.InvalidURL, ValueError):
            raise Invalid(f"{_shown(url)} is no valid link") from None
        if found.scheme not in PORTS or not found.host or found.userinfo:
            raise Invalid(f"the link {_shown(url)} cannot be followed: it must be http or https, without a password")
        port = found.port or PORTS[found.scheme]
        if not any(_covers(pattern, found.host.lower(), port) for pattern in self._allowed):
            raise Invalid(f"this server fetches nothing from {found.host}:{port}; send the content, or have it allowed")
        return found


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the public internet, also where it holds another one inside it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner: list[IPAddress | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(is_public(found) for found in inner if found is not None):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to permitted addresses only."""

    def __init__(self, permitted: Callable[[IPAddress], bool]) -> None:
        self._permitted = permitted
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the signature is httpcore's)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to a host by the address that was checked, never by its name."""
        loop = asyncio.get_running_loop()
        entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        if not addresses or not all(self._permitted(ipaddress.ip_address(address)) for address in addresses):
            raise ForbiddenAddressError
        return await self._network.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Waits, as httpcore asks for between its attempts."""
        await asyncio.sleep(seconds)


def _covers(pattern: str, host: str, port: int) -> bool:
    """Whether a pattern of the allowed hosts names this one."""
    name, _, own_port = pattern.partition(":")
    return fnmatch.fnmatchcase(host, name) and (own_port == str(port) if own_port else port in PORTS.values())


@asynccontextmanager
async def _get(pool: httpcore.AsyncConnectionPool, url: httpx.URL) -> AsyncIterator[httpcore.Response]:
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    # Not compressed: a small answer must not become a large one.
    headers = [(b"host", url.netloc), (b"accept", b"*/*"), (b"accept-encoding", b"identity")]
    async with pool.stream("GET", target, headers=headers) as response:
        yield response


def _shown(url: str) -> str:
    """A link in an error, without its query, which may hold a secret."""
    return repr(url.partition("?")[0][:120])
