from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from hub2triton.shim import profile
from hub2triton.tasks.spec import Profile


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Profile.TOOLKIT),
        ({"user-agent": "curl/8.5.0"}, Profile.TOOLKIT),
        ({"user-agent": "unknown/None; hf_hub/1.2.0; python/3.11.7; torch/2.9"}, Profile.PYTHON),
        ({"user-agent": "unknown/None; hf_hub/0.36.2; python/3.11.7"}, Profile.PYTHON_0),
        ({"user-agent": "unknown/None; hf_hub/10.0.1; python/3.11.7"}, Profile.PYTHON),
        ({"user-agent": "@huggingface/inference/4.13.0 Mozilla/5.0"}, Profile.JAVASCRIPT),
        ({"x-client-profile": "javascript"}, Profile.JAVASCRIPT),
        ({"x-client-profile": "Python"}, Profile.PYTHON),
        ({"x-client-profile": "python-0", "user-agent": "hf_hub/1.2.0"}, Profile.PYTHON_0),
        ({"x-client-profile": "toolkit", "user-agent": "hf_hub/1.2.0"}, Profile.TOOLKIT),
        ({"x-client-profile": "nonsense", "user-agent": "hf_hub/1.2.0"}, Profile.PYTHON),
    ],
)
def test_a_client_is_known_by_its_headers(headers: dict[str, str], expected: Profile) -> None:
    assert profile.of(Headers(headers), Profile.TOOLKIT) is expected


@pytest.mark.parametrize("default", Profile)
def test_an_unknown_client_gets_the_default(default: Profile) -> None:
    assert profile.of(Headers({"user-agent": "curl/8.5.0"}), default) is default
