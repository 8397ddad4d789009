"""A small Hub on 127.0.0.1, for tests that use the real huggingface_hub without a network.

It answers what reading models needs, as the Hub does: model, tree, refs and access checks under /api, and files under
/{id}/resolve/. Large files are handed over to a second host name (localhost), as the Hub does with its CDN. There is
no Xet. Point HF_ENDPOINT at `endpoint` before huggingface_hub is imported, so in a process of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request as HTTPRequest

_API = re.compile(r"/api/(models|datasets|spaces)/([^/]+(?:/[^/]+)??)(?:/(revision|tree|refs|auth-check)(?:/(.*))?)?")
_RESOLVE = re.compile(r"/([^/]+(?:/[^/]+)??)/resolve/([^/]+)/(.+)")
_CHUNK = 16 * 1024


@dataclass(frozen=True)
class Request:
    """One request, as it came in. `path` is decoded, header names are in small letters."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass
class _Repository:
    kind: str
    private: bool
    gated: bool
    about: dict[str, Any]
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def find(self, revision: str) -> str | None:
        named = {**self.tags, **self.branches}.get(revision)
        if named is not None:
            return named
        matching = [sha for sha in self.commits if len(revision) >= 7 and sha.startswith(revision)]
        return matching[0] if len(matching) == 1 else None


@dataclass
class _Fault:
    part: str
    method: str | None
    left: int | None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    cut_after: int | None = None
    stall_after: int | None = None


class HubServer:
    """The server; runs from `with` to its end. All of its methods may be called while it runs.

    Attributes:
        requests: All that came in, oldest first.
        downloads: The GET requests among them that were for the content of files.
    """

    member = "hf_memberMemberMemberMember"
    """A token that may read every repository."""
    stranger = "hf_strangerStrangerStranger"
    """A valid token that may read no private and no gated repository."""
    expired = "hf_expiredExpiredExpired"
    """A token that is not, or no longer, known."""

    def __init__(self, *, large: int = 64 * 1024, page: int = 50) -> None:
        """`large`: from how many bytes on a file is kept in LFS; `page`: how many files a page of a tree lists."""
        self.requests: list[Request] = []
        self._repositories: dict[str, _Repository] = {}
        self._blobs: dict[str, bytes] = {}
        self._faults: list[_Fault] = []
        self._large = large
        self._page = page
        self._released = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._port = self._socket.getsockname()[1]
        methods = ["GET", "HEAD", "POST"]
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])
        # Failures are wanted here (cut connections), so uvicorn does not get to write about them.
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the test Hub does not start")
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def downloads(self) -> list[Request]:
        content = re.compile(r"/resolve/|^/cdn/")
        return [request for request in self.requests if request.method == "GET" and content.search(request.path)]

    def add(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        tag: str | None = None,
        kind: str = "model",
        private: bool = False,
        gated: bool = False,
        pipeline_tag: str | None = None,
        library_name: str | None = None,
    ) -> str:
        """Commits files, which are then all that the repository holds, to a branch; makes the repository if needed.

        Args:
            kind: model, dataset or space.
            tag: A name for this commit.

        Returns:
            The commit's sha.
        """
        about = {"pipeline_tag": pipeline_tag, "library_name": library_name}
        new = _Repository(kind, private, gated, about)
        repository = self._repositories.setdefault(repo_id, new)
        text = f"{repo_id} {branch} {len(repository.commits)} {sorted(files)}"
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        repository.commits[sha] = dict(files)
        repository.branches[branch] = sha
        if tag is not None:
            repository.tags[tag] = sha
        self._blobs.update((hashlib.sha256(content).hexdigest(), content) for content in files.values())
        return sha

    def fail(
        self,
        part: str,
        status: int,
        *,
        method: str | None = None,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        message: str = "",
    ) -> None:
        """Answers `status` to requests with `part` in their path; `times` of them, or all."""
        self._faults.append(_Fault(part, method, times, status=status, headers=headers or {}, message=message))

    def cut(self, part: str, *, after: int, times: int | None = 1) -> None:
        """Closes the connection after that many bytes of a file whose path or name contains `part`."""
        self._faults.append(_Fault(part, "GET", times, cut_after=after))

    def stall(self, part: str, *, after: int = 0) -> None:
        """Goes silent after that many bytes of an answer, until the server ends or `heal` is called."""
        self._faults.append(_Fault(part, "GET", None, stall_after=after))

    def heal(self) -> None:
        """Forgets all faults."""
        self._faults.clear()
        self._released.set()
        self._released = threading.Event()

    def clear(self) -> None:
        """Forgets repositories, requests and faults: as good as a new server."""
        self.heal()
        self.requests.clear()
        self._repositories.clear()
        self._blobs.clear()

    async def _answer(self, request: HTTPRequest) -> Response:
        path = request.scope["path"]
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Request(request.method, path, request.url.query, headers)
        self.requests.append(seen)
        fault = self._fault(seen)
        if fault is not None and fault.status is not None:
            content = json.dumps({"error": fault.message}) if fault.message else ""
            return Response(content, fault.status, headers=dict(fault.headers), media_type="application/json")
        if fault is not None and path.startswith("/api/"):
            await self._wait()
        if path.startswith("/cdn/"):
            return self._content(seen, self._blobs[path.split("/")[2]], {}, fault)
        api = _API.fullmatch(path)
        if api is not None:
            return self._about(seen, *api.groups())
        resolve = _RESOLVE.fullmatch(path)
        if resolve is not None:
            return self._file(seen, *resolve.groups(), fault)
        return JSONResponse({"error": "Sorry, we can't find the page you are looking for."}, 404)

    def _fault(self, request: Request) -> _Fault | None:
        for fault in self._faults:
            fits = fault.part in request.path or fault.part in request.query
            # A file that is handed over to the CDN fails there.
            handed = fault.status is None and "/resolve/" in request.path and self._is_handed(request.path)
            if fits and not handed and fault.left != 0 and fault.method in {None, request.method}:
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None

    def _is_handed(self, path: str) -> bool:
        match = _RESOLVE.fullmatch(path)
        repository = self._repositories.get(match[1]) if match is not None else None
        if match is None or repository is None:
            return False
        return len(repository.commits.get(repository.find(match[2]) or "", {}).get(match[3], b"")) >= self._large

    async def _wait(self) -> None:
        released = self._released
        while not released.is_set():  # noqa: ASYNC110 - set by the thread of the test
            await asyncio.sleep(0.02)

    def _refusal(self, request: Request, repo_id: str, kind: str, *, content: bool) -> Response | None:
        """Why a request gets nothing: codes, headers and words are the Hub's own."""
        if request.token is not None and request.token not in {self.member, self.stranger}:
            return _error(401, "Invalid credentials in Authorization header")
        repository = self._repositories.get(repo_id)
        hidden = repository is None or repository.kind != kind or (repository.private and request.token != self.member)
        if hidden and request.token is None:
            return _error(401, "Invalid username or password.", "RepoNotFound")
        if repository is None or hidden:
            return _error(404, "Repository not found", "RepoNotFound")
        if repository.gated and content and request.token != self.member:
            reason = f"Access to model {repo_id} is restricted."
            return _error(401 if request.token is None else 403, reason, "GatedRepo")
        return None

    def _about(self, request: Request, kinds: str, repo_id: str, what: str | None, rest: str | None) -> Response:
        # What a gated model is may be read by all, as on the Hub; only its files may not.
        refusal = self._refusal(request, repo_id, kinds[:-1], content=what == "auth-check")
        if refusal is not None:
            return refusal
        repository = self._repositories[repo_id]
        if what == "auth-check":
            return JSONResponse({})
        if what == "refs":
            branches = [_ref("heads", *item) for item in repository.branches.items()]
            tags = [_ref("tags", *item) for item in repository.tags.items()]
            return JSONResponse({"branches": branches, "converts": [], "tags": tags})
        sha = repository.find(rest or "main")
        if sha is None:
            return _error(404, f"Invalid rev id: {rest}", "RevisionNotFound")
        files = repository.commits[sha]
        if what == "tree":
            return self._tree(request, files)
        info = {
            **{key: value for key, value in repository.about.items() if value is not None},
            "_id": sha[:24],
            "id": repo_id,
            "modelId": repo_id,
            "sha": sha,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "disabled": False,
            "tags": [],
            "siblings": [self._sibling(name, content, "blobs=" in request.query) for name, content in files.items()],
        }
        return JSONResponse(info)

    def _sibling(self, name: str, content: bytes, with_blobs: bool) -> dict[str, Any]:
        if not with_blobs:
            return {"rfilename": name}
        return {"rfilename": name, "size": len(content), "blobId": _oid(content), **self._lfs(content, "sha256")}

    def _lfs(self, content: bytes, key: str) -> dict[str, Any]:
        if len(content) < self._large:
            return {}
        return {"lfs": {key: hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}}

    def _tree(self, request: Request, files: Mapping[str, bytes]) -> Response:
        names = sorted(files)
        folders = sorted({name.rpartition("/")[0] for name in names if "/" in name})
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in folders]
        entries += [
            {
                "type": "file",
                "oid": _oid(files[name]),
                "size": len(files[name]),
                "path": name,
                **self._lfs(files[name], "oid"),
            }
            for name in names
        ]
        cursor = re.search(r"cursor=(\d+)", request.query)
        start = int(cursor[1]) if cursor else 0
        end = start + self._page
        headers = {}
        if end < len(entries):
            headers["Link"] = f'<{self.endpoint}{request.path}?recursive=true&cursor={end}>; rel="next"'
        return JSONResponse(entries[start:end], headers=headers)

    def _file(self, request: Request, repo_id: str, revision: str, name: str, fault: _Fault | None) -> Response:
        refusal = self._refusal(request, repo_id, "model", content=True)
        if refusal is not None:
            return refusal
        repository = self._repositories[repo_id]
        sha = repository.find(revision)
        if sha is None:
            return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        headers = {"X-Repo-Commit": sha}
        content = repository.commits[sha].get(name)
        if content is None:
            return _error(404, "Entry not found", "EntryNotFound", headers)
        if len(content) < self._large:
            return self._content(request, content, {**headers, "ETag": f'"{_oid(content)}"'}, fault)
        digest = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        # Another host name, and so another origin: the token must not follow.
        headers["Location"] = f"http://localhost:{self._port}/cdn/{digest}/{name.rpartition('/')[2]}"
        return Response(status_code=302, headers=headers)

    def _content(self, request: Request, content: bytes, headers: dict[str, str], fault: _Fault | None) -> Response:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        start = int(asked[1]) if asked else 0
        headers |= {"Content-Length": str(len(content) - start), "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        status = 206 if asked else 200
        media_type = "application/octet-stream"
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=media_type)
        return StreamingResponse(self._chunks(content[start:], fault), status, headers, media_type)

    async def _chunks(self, content: bytes, fault: _Fault | None) -> AsyncIterator[bytes]:
        cut, stall = (fault.cut_after, fault.stall_after) if fault is not None else (None, None)
        end = next((stop for stop in (cut, stall) if stop is not None), len(content))
        for start in range(0, end, _CHUNK):
            yield content[start : min(start + _CHUNK, end)]
        if cut is not None:
            # uvicorn then closes the connection, short of what Content-Length promised.
            raise ConnectionAbortedError
        if stall is not None:
            await self._wait()


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _ref(folder: str, name: str, sha: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{folder}/{name}", "targetCommit": sha}


def _error(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    all_headers = {**(headers or {}), "X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return JSONResponse({"error": message}, status, headers=all_headers)
