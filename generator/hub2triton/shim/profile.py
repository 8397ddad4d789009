"""Which client a request comes from, and so which form its answer has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton.tasks.spec import Profile

if TYPE_CHECKING:
    from starlette.datastructures import Headers

HEADER = "x-client-profile"
"""Names the profile outright: some browsers do not let a client set its User-Agent."""

USER_AGENTS = {
    "hf_hub/0.": Profile.PYTHON_0,
    "hf_hub/": Profile.PYTHON,
    "@huggingface/inference": Profile.JAVASCRIPT,
}
"""What a User-Agent holds, and what that means; the first that is found counts."""


def of(headers: Headers, default: Profile) -> Profile:
    """The profile that a request's headers ask for."""
    named = headers.get(HEADER, "").lower()
    if named in {profile.value for profile in Profile}:
        return Profile(named)
    agent = headers.get("user-agent", "")
    return next((profile for mark, profile in USER_AGENTS.items() if mark in agent), default)
