"""local.resolve: a model in a directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub2triton.error import UsageError
from hub2triton.generate import local
from hub2triton.generate.source import Origin, SourceFile


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "my-model"
    (root / "1_Pooling").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "1_Pooling" / "config.json").write_text("[1]")
    (root / "README.md").write_text("---\nlibrary_name: sentence-transformers\npipeline_tag: x-task\n---\n# Hello")
    return root


def _paths(root: Path) -> list[str]:
    return [file.path for file in local.resolve(root).files]


def test_a_directory(model: Path) -> None:
    source = local.resolve(model)
    assert (source.origin, source.model_id, source.revision, source.root) == (Origin.LOCAL, "my-model", None, model)
    assert (source.pipeline_tag, source.library_name) == ("x-task", "sentence-transformers")
    assert [file.path for file in source.files] == ["1_Pooling/config.json", "README.md", "config.json"]
    assert source.files[0] == SourceFile("1_Pooling/config.json", 3)


def test_every_spelling_has_the_directory_s_own_name(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    spellings = [Path(), Path("./"), Path("1_Pooling/.."), Path(f"{model}/"), Path("../my-model")]
    assert {(local.resolve(path).model_id, local.resolve(path).root) for path in spellings} == {("my-model", model)}


def test_a_link_to_a_directory_keeps_its_name(model: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(model)
    assert local.resolve(tmp_path / "current").model_id == "current"
    assert "config.json" in _paths(tmp_path / "current")


def test_folders_that_hold_no_model_are_left_out(model: Path) -> None:
    for folder in (".git", ".cache/huggingface", "__pycache__", "1_Pooling/.ipynb_checkpoints"):
        (model / folder).mkdir(parents=True)
        (model / folder / "config.json").write_text("{}")
    (model / ".gitattributes").write_text("")
    assert _paths(model) == [".gitattributes", "1_Pooling/config.json", "README.md", "config.json"]


def test_links_to_files_count_and_links_to_directories_do_not(model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "blob").write_bytes(b"12345")
    (model / "model.safetensors").symlink_to(outside / "blob")
    (model / "loop").symlink_to(model)
    (model / "elsewhere").symlink_to(outside)
    (model / "broken.bin").symlink_to(outside / "gone")
    os.mkfifo(model / "pipe")
    files = {file.path: file.size for file in local.resolve(model).files}
    assert files.pop("model.safetensors") == 5
    assert sorted(files) == ["1_Pooling/config.json", "README.md", "config.json"]


@pytest.mark.parametrize(
    "card",
    [
        b"# No front matter",
        b"",
        b"---\npipeline_tag: x-task\n# never ends",
        b"---\npipeline_tag: [unclosed\n---\n",
        b"---\n- a\n- list\n---\n",
        b"---\ntext\n---\n",
        b"---\n---\n",
        b"---\npipeline_tag: [a, b]\nlibrary_name: 3\n---\n",
        b"---\npipeline_tag: 2024-13-45\n---\n",
        b"---\npipeline_tag: !!python/object/apply:os.getcwd []\n---\n",
        b"---\npipeline_tag: " + b"[" * 50_000 + b"\n---\n",
        b"---\nmodel-index:\n  pipeline_tag: x-task\n---\n",
        b"\xff\xfe\x00---\n",
    ],
    ids=lambda card: repr(card[:24]),
)
def test_a_broken_card_says_nothing(model: Path, card: bytes) -> None:
    (model / "README.md").write_bytes(card)
    source = local.resolve(model)
    assert (source.pipeline_tag, source.library_name) == (None, None)


@pytest.mark.parametrize(
    "card",
    [
        b"---\r\npipeline_tag: x-task\r\n---\r\n",
        b"\xef\xbb\xbf---\npipeline_tag: x-task\n---",
        b"---\npipeline_tag: ' x-task '\nname: \xe9\n--- \nText\n---\n",
        b"---\ntags: [unclosed\npipeline_tag:\n  x-task\nmodel-index: " + b"[" * 50_000 + b"\n---\n",
    ],
    ids=["windows", "byte order mark", "latin-1", "broken elsewhere"],
)
def test_a_card_written_elsewhere_is_read(model: Path, card: bytes) -> None:
    (model / "README.md").write_bytes(card)
    assert local.resolve(model).pipeline_tag == "x-task"


def test_a_directory_without_a_card(model: Path) -> None:
    (model / "README.md").unlink()
    (model / "README.md").mkdir()
    assert local.resolve(model).library_name is None


def test_an_empty_directory_is_not_rejected_here(tmp_path: Path) -> None:
    assert local.resolve(tmp_path).files == ()


def test_what_is_no_directory(model: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        local.resolve(model / "gone")
    with pytest.raises(UsageError, match="is a file"):
        local.resolve(model / "config.json")
    with pytest.raises(UsageError, match="root of the file system"):
        local.resolve(Path("/"))
