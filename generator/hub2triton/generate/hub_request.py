"""What is asked of the Hub, checked as far as that goes without asking it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hub2triton.error import HubError, UsageError

# The Hub's rules for names; stricter than huggingface_hub before 2.0, which lets letters such as é through.
_NAME = r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?(?<!\.git)"
_ID = re.compile(rf"(?:{_NAME}/)?{_NAME}", re.ASCII)
_FORM = "A model id is 'org/name', as in sentence-transformers/all-MiniLM-L6-v2"

# What git forbids in the name of a branch or tag, of which some would lead out of the cache's folder.
_NO_REVISION = re.compile(r"[\s\x00-\x1f\x7f~^:?*\[\\]|\.\.|//|@\{|^[/.-]|[/.]$|^$")


@dataclass(frozen=True)
class HubRequest:
    """A model of the Hub, as it is asked for.

    Attributes:
        model_id: `org/name`, or the `name` of the oldest models.
        revision: A branch, tag or commit; None for the main branch.
        token: None for the one huggingface_hub finds by itself (HF_TOKEN, `hf auth login`), if any.
    """

    model_id: str
    revision: str | None
    token: str | None = field(repr=False)

    @classmethod
    def of(cls, model_id: str, revision: str | None, token: str | None) -> HubRequest:
        """Makes a request of what the user gave; a blank token counts as none.

        Raises:
            UsageError: The id or the revision cannot be one.
            HubError: The token cannot be one.
        """
        if not _ID.fullmatch(model_id):
            raise UsageError(_no_id(model_id))
        if revision is not None and _NO_REVISION.search(revision):
            message = f"'{revision}' cannot be a revision: give a branch, a tag or a commit sha of '{model_id}'."
            raise UsageError(message)
        token = (token or "").strip()
        # HTTP clients quote the whole header, token included, when they reject one: none of these gets that far.
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            message = (
                "The token has spaces, line breaks or letters that no token has. Copy it again from "
                f"{endpoint()}/settings/tokens."
            )
            raise HubError(message)
        return cls(model_id, revision, token or None)

    @property
    def page(self) -> str:
        """The model's page on the Hub."""
        return f"{endpoint()}/{self.model_id}"

    def without_secrets(self, text: str) -> str:
        """Takes tokens and passwords out of a text: servers and proxies may quote what they were sent."""
        if self.token is not None:
            text = text.replace(self.token, "***")
        return re.sub(r"\bhf_\w{8,}", "***", _without_password(text))

    def __str__(self) -> str:
        return f"'{self.model_id}'" if self.revision is None else f"'{self.model_id}' (revision '{self.revision}')"


def endpoint() -> str:
    """The Hub's address (HF_ENDPOINT), without a password that may be part of it."""
    from huggingface_hub import constants

    return _without_password(constants.ENDPOINT)


def _without_password(text: str) -> str:
    return re.sub(r"(^|//)[^/@\s]+@", r"\1", text)


def _no_id(given: str) -> str:
    path = re.sub(r"^(https?://[^/]+/|hf://)?(models/)?", "", given).strip("/")
    kind = re.match(r"(dataset|space)s/", path)
    if kind is not None:
        return f"'{given}' is a {kind[1]}, not a model. {_FORM}."
    model_id = "/".join(path.split("/")[:2])
    if path != given.strip("/") and _ID.fullmatch(model_id):
        return f"'{given}' is an address, not a model id. Try '{model_id}'."
    return f"'{given}' is neither a model id nor a directory that exists. {_FORM}."
