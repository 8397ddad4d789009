"""generate-repo as its user sees it, with models in local directories."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import generated

from hub2triton import __version__, tasks
from hub2triton.generate import command, difference, generation, manifest, repository
from hub2triton.generate.options import Options, Weights
from hub2triton.generate.source import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAVY = {"torch", "transformers", "sentence_transformers", "numpy", "huggingface_hub", "tritonclient", "grpc", "google"}


@dataclass(frozen=True)
class Result:
    exit_code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Stamp:
    """What tells that a file is the very same one as before."""

    inode: int
    modified_ns: int
    content: bytes | None


Run = "Callable[..., Result]"


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The command takes SIGTERM for itself; the tests get theirs back."""
    # One that is not taken fails its test, rather than ending all of them.
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("SIGTERM"))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def model(models_dir: Path, tmp_path: Path) -> Path:
    """A model of this test's own."""
    return Path(shutil.copytree(models_dir / "bert_base", tmp_path / "tiny"))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def run(model: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs generate-repo on the model."""

    def run(*arguments: str, of: Path | str = model, to: Path = output) -> Result:
        try:
            exit_code = command.main([str(of), "--output", str(to), *arguments])
        except SystemExit as exit_:  # argparse's
            exit_code = int(str(exit_.code))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Result(exit_code, captured.out, captured.err)

    return run


@pytest.fixture
def written(run: Callable[..., Result], output: Path) -> Path:
    """The folder of the model, generated."""
    assert run().exit_code == 0
    return output / "tiny"


def stamps(folder: Path) -> dict[str, Stamp]:
    """Everything in a folder, folders and itself included."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.stat()
        content = path.read_bytes() if path.is_file() else None
        found[path.relative_to(folder.parent).as_posix()] = Stamp(status.st_ino, status.st_mtime_ns, content)
    return found


def edit(folder: Path, path: str, text: str = "# mine\n") -> None:
    """Adds a line as an editor does: a new file in the place of the old one."""
    new = folder / f"{path}.new"
    new.write_text((folder / path).read_text() + text)
    new.rename(folder / path)


# ---- what is written


def test_a_repository_is_written(written: Path, model: Path) -> None:
    record = manifest.load(written)
    assert record is not None
    assert (record.task, record.library) == ("feature-extraction", "transformers")
    assert record.source == {"origin": "local", "model_id": "tiny", "revision": None}
    there = {path.relative_to(written).as_posix(): path for path in written.rglob("*") if path.is_file()}
    assert there.keys() == record.files.keys() | {manifest.FILE}
    assert all(manifest.file_digest(there[path]) == digest for path, digest in record.files.items())
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (written / "1/weights" / name).read_bytes() == (model / name).read_bytes()
    assert not list(written.parents[1].glob(f"{repository.STAGING}*"))


def test_it_says_what_was_decided_and_what_comes_next(run: Callable[..., Result], output: Path) -> None:
    result = run()
    assert result.errors == ""
    lines = result.output.splitlines()
    assert lines[2].split() == ["task", "feature-extraction", "config.json:", "BertModel"]
    files = [path for path in (output / "tiny").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files if path.name != manifest.FILE)
    assert f"wrote {output}/tiny: {len(files)} files, {size / 1e6:.1f} MB" in lines
    assert lines[-2] == f"  serve-repo {output}"
    assert lines[-1].startswith("  curl localhost:8080/models/tiny -d '{")


def test_the_next_commands_can_be_pasted_into_a_shell(run: Callable[..., Result], tmp_path: Path) -> None:
    lines = run(to=tmp_path / "it's a place").output.splitlines()
    for line, words in ((lines[-2], ["serve-repo", f"{tmp_path}/it's a place"]), (lines[-1], None)):
        shown = subprocess.run(
            ["bash", "-c", f'printf "%s\\n" {line.strip()}'], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        assert shown == words if words else json.loads(shown[-1])["inputs"]


def test_local_files_are_always_copies(run: Callable[..., Result], model: Path, output: Path) -> None:
    for weights in ("link", "copy"):
        assert run("--weights", weights, "--name", weights).exit_code == 0
        assert not (output / weights / "1/weights/config.json").samefile(model / "config.json")


def test_options_reach_the_config(run: Callable[..., Result], output: Path) -> None:
    result = run("--max-batch-size", "7", "--name", "n", "--task", "sentence-embeddings", "--device", "cpu")
    assert result.exit_code == 0
    config = generated.parsed((output / "n/config.pbtxt").read_text())
    assert config.max_batch_size == 7
    assert config.instance_group[0].kind == config.instance_group[0].KIND_CPU
    assert config.parameters["task"].string_value == "sentence-embeddings"
    assert config.parameters["model_id"].string_value == "n"


@pytest.mark.parametrize(
    "name",
    ['it\'s "quoted"', "new\nline", '"""\nimport os; os.abort()\n"""', "back\\slash", "{{ 1 }}", "größe 猫", "tab\t#"],
    ids=["quotes", "newline", "docstring", "backslash", "jinja", "letters", "comment"],
)
def test_a_directory_may_be_called_anything(name: str, run: Callable[..., Result], model: Path, output: Path) -> None:
    result = run(of=model.rename(model.with_name(name)))
    assert result.exit_code == 0
    (folder,) = output.iterdir()
    generated.parsed((folder / "config.pbtxt").read_text())
    for path in folder.rglob("*.py"):
        py_compile.compile(str(path), doraise=True)
    assert generated.module(folder).__doc__.startswith(f"{folder.name} as a Triton model")
    assert run("--check", of=model.with_name(name)).exit_code == 0


# ---- again


def test_again_changes_nothing(run: Callable[..., Result], written: Path) -> None:
    before = stamps(written.parent)
    result = run()
    assert (result.exit_code, result.errors) == (0, "")
    assert f"nothing changed: {written} is up to date\n" in result.output
    assert stamps(written.parent) == before


def test_again_with_force_changes_nothing_either(run: Callable[..., Result], written: Path) -> None:
    before = stamps(written.parent)
    assert "nothing changed" in run("--force").output
    assert stamps(written.parent) == before


def test_what_python_leaves_behind_changes_nothing(run: Callable[..., Result], written: Path) -> None:
    py_compile.compile(str(written / "1/model.py"))
    assert (written / "1/__pycache__").is_dir()
    assert "nothing changed" in run().output
    assert run("--check").exit_code == 0


def test_an_edited_file_is_kept(run: Callable[..., Result], written: Path) -> None:
    edit(written, "config.pbtxt")
    before = stamps(written.parent)
    result = run()
    assert result.exit_code == 0
    assert "is up to date (kept as you edited them: config.pbtxt)" in result.output
    assert stamps(written.parent) == before


def test_an_edited_file_is_kept_where_others_change(run: Callable[..., Result], written: Path, model: Path) -> None:
    edit(written, "1/model.py")
    (model / "tokenizer_config.json").write_text("{}")
    result = run()
    assert result.exit_code == 0
    assert "(kept as you edited them: 1/model.py)" in result.output
    assert (written / "1/model.py").read_text().endswith("# mine\n")
    assert (written / "1/weights/tokenizer_config.json").read_text() == "{}"
    assert "kept as you edited them: 1/model.py" in run().output  # and it is still known as edited


def test_an_edited_file_is_not_overwritten(run: Callable[..., Result], written: Path) -> None:
    edit(written, "config.pbtxt")
    before = stamps(written.parent)
    result = run("--max-batch-size", "7")
    assert result.exit_code == 2
    assert "edited or added by hand and would be overwritten or removed: config.pbtxt. Keep a copy" in result.errors
    assert stamps(written.parent) == before


def test_an_edited_file_is_not_removed(run: Callable[..., Result], written: Path, model: Path) -> None:
    edit(written, "1/weights/tokenizer_config.json", "\n")
    (model / "tokenizer_config.json").unlink()
    before = stamps(written.parent)
    assert run().exit_code == 2
    assert stamps(written.parent) == before
    assert run("--force").exit_code == 0
    assert not (written / "1/weights/tokenizer_config.json").exists()


def test_force_overwrites_what_was_edited(run: Callable[..., Result], written: Path) -> None:
    edit(written, "config.pbtxt")
    edit(written, "1/model.py")
    assert run("--max-batch-size", "7", "--force").exit_code == 0
    assert "# mine" not in (written / "config.pbtxt").read_text() + (written / "1/model.py").read_text()
    assert run("--max-batch-size", "7", "--check").exit_code == 0


def test_files_of_the_users_are_kept_and_force_removes_them(run: Callable[..., Result], written: Path) -> None:
    (written / "notes.txt").write_text("mine")
    (written / "2").mkdir()
    (written / "2/model.py").write_text("mine too")
    assert "nothing changed" in run().output
    assert run("--max-batch-size", "7").exit_code == 0
    assert (written / "notes.txt").read_text() == "mine"
    assert (written / "2/model.py").read_text() == "mine too"
    assert run("--max-batch-size", "7", "--force").exit_code == 0
    assert not (written / "notes.txt").exists()
    assert not (written / "2").exists()


def test_a_file_of_the_models_that_is_gone_is_removed(run: Callable[..., Result], written: Path, model: Path) -> None:
    (model / "extra.json").write_text("{}")
    assert run().exit_code == 0
    assert (written / "1/weights/extra.json").exists()
    (model / "extra.json").unlink()
    assert run().exit_code == 0
    assert not (written / "1/weights/extra.json").exists()


def test_a_file_that_was_deleted_is_written_again(run: Callable[..., Result], written: Path) -> None:
    (written / "1/model.py").unlink()
    assert run().output.count("wrote") == 1
    assert (written / "1/model.py").exists()


@pytest.mark.parametrize("content", ["file", "folder"])
def test_what_is_not_from_here_is_not_overwritten(content: str, run: Callable[..., Result], output: Path) -> None:
    target = output / "tiny"
    output.mkdir()
    if content == "folder":
        target.mkdir()
    theirs = target / "model.onnx" if content == "folder" else target
    theirs.write_text("precious")
    result = run()
    assert result.exit_code == 2
    assert f"{target} exists and was not written by generate-repo; choose another --name" in result.errors
    assert theirs.read_text() == "precious"
    assert run("--force").exit_code == 0
    assert not (target / "model.onnx").exists()
    assert manifest.load(target)


def test_an_empty_folder_is_in_nobodys_way(run: Callable[..., Result], output: Path) -> None:
    (output / "tiny").mkdir(parents=True)
    assert run().exit_code == 0


# ---- looking without touching


def test_a_dry_run_writes_nothing(run: Callable[..., Result], output: Path, model: Path) -> None:
    result = run("--dry-run")
    assert result.exit_code == 0
    assert not output.exists()
    told = [line.removeprefix("would write ") for line in result.output.splitlines() if line.startswith("would write")]
    assert f"would put 4 files (0.1 MB) into {output}/tiny/1/weights/" in result.output
    assert run().exit_code == 0
    weights = {str(path) for path in (output / "tiny/1/weights").iterdir()}
    assert set(told) | weights == {str(path) for path in (output / "tiny").rglob("*") if path.is_file()}


def test_check_tells_every_difference_and_touches_nothing(
    run: Callable[..., Result], written: Path, model: Path
) -> None:
    result = run("--check")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "up to date")
    edit(written, "1/model.py")
    edit(written, "1/weights/tokenizer_config.json", "\n")
    (written / "notes.txt").touch()
    (written / "requirements.txt").unlink()
    (model / "tokenizer_config.json").write_text("{}")
    (model / "config.json").write_text((model / "config.json").read_text() + "\n")
    before = stamps(written.parent)
    result = run("--check")
    assert result.exit_code == 1
    assert result.output.split("\n\n")[1].splitlines() == [
        "added: requirements.txt",
        "changed: 1/weights/config.json",
        "edited by hand: 1/model.py",
        "by hand, and would be lost: 1/weights/tokenizer_config.json",
        "not from here: notes.txt",
    ]
    assert stamps(written.parent) == before


def test_check_of_what_is_not_there_tells_all(run: Callable[..., Result], output: Path) -> None:
    result = run("--check")
    assert result.exit_code == 1
    assert "added: config.pbtxt" in result.output
    assert not output.exists()


# ---- what goes wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "nope"], "unknown task 'nope'; the tasks are: "),
        (["--name", "../x"], "--name '../x' cannot be a model's name"),
        (["--revision", "main"], "--revision is for models on the Hub"),
        (["--weights", "hub"], "--weights hub needs a model on the Hub"),
        (["--max-batch-size", "0"], "must be a whole number of at least 1, not '0'"),
        (["--instances", "x"], "must be a whole number of at least 1, not 'x'"),
        (["--queue-delay-us", "-1"], "--queue-delay-us"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--token-env", "NO_SUCH_VARIABLE"], "there is no such environment variable"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_wrong_option_is_exit_2(arguments: list[str], words: str, run: Callable[..., Result], output: Path) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.errors
    assert result.output == ""
    assert not output.exists()


@pytest.mark.parametrize("name", ["./none", "/none/at/all", "~none"])
def test_a_directory_that_is_not_there_is_exit_2(name: str, run: Callable[..., Result]) -> None:
    result = run(of=name)
    assert (result.exit_code, result.output) == (2, "")
    assert result.errors == (
        f"generate-repo: {name} is no directory; name a directory with a model in it, or a Hub id\n"
    )


def test_a_file_is_no_model(run: Callable[..., Result], model: Path) -> None:
    result = run(of=model / "config.json")
    assert result.exit_code == 2
    assert "is no directory" in result.errors


def test_a_name_too_long_for_the_file_system_is_exit_2(run: Callable[..., Result]) -> None:
    result = run(of="x" * 300)
    assert (result.exit_code, result.output) == (2, "")
    assert result.errors.startswith("generate-repo: ")


def test_a_file_of_the_models_that_cannot_be_read_is_exit_2(
    run: Callable[..., Result], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> str:  # root reads everything, so permissions cannot be taken away from it
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(manifest, "file_digest", refused)
    result = run()
    assert result.exit_code == 2
    assert f"Permission denied: '{model}/" in result.errors


def test_no_model_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        command.main([])
    assert exit_.value.code == 2
    assert "name a model: a Hub id" in capsys.readouterr().err


def test_a_model_without_weights_is_exit_4(run: Callable[..., Result], model: Path, output: Path) -> None:
    (model / "model.safetensors").unlink()
    result = run()
    assert result.exit_code == 4
    assert result.errors.startswith("generate-repo: tiny does not fit feature-extraction: it has no PyTorch weights")
    assert result.errors.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize("config", ["{", "[]", '{"architectures": 1}'])
def test_a_damaged_model_is_exit_4(config: str, run: Callable[..., Result], model: Path) -> None:
    (model / "config.json").write_text(config)
    result = run()
    assert result.exit_code == 4
    assert "config.json" in result.errors


def test_an_empty_directory_is_exit_4(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run(of=tmp_path / "empty").exit_code == 4
    result = run("--task", "feature-extraction", of=tmp_path / "empty")
    assert result.exit_code == 4
    assert "no transformers model (no config.json)" in result.errors


def test_an_output_that_cannot_be_written_is_exit_2(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run(to=tmp_path / "file")
    assert result.exit_code == 2
    assert "cannot be written" in result.errors
    assert result.errors.count("\n") == 1


def test_an_interruption_is_exit_130_and_leaves_what_was_there(
    run: Callable[..., Result], written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # as systemd and docker stop a process

    before = stamps(written.parent)
    monkeypatch.setattr(shutil, "copyfile", interrupted)
    result = run("--max-batch-size", "7")
    assert result.exit_code == 130
    assert "interrupted; nothing was written" in result.errors
    assert stamps(written.parent) == before
    assert not list(written.parents[1].glob(f"{repository.STAGING}*"))


# ---- models of the Hub, from a stand-in of its cache


@pytest.fixture
def hub_plan(model: Path, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> generation.Plan:
    """The plan of a model whose files are in the Hub's cache."""
    local = generation.plan(Options(model=str(model), output=output))
    blobs, snapshot = tmp_path / "hub/blobs", tmp_path / "hub/snapshots/abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in local.files:
        blob = blobs / manifest.file_digest(model / file.path)
        shutil.copyfile(model / file.path, blob)
        (snapshot / file.path).symlink_to(blob)
    monkeypatch.setattr(generation.hub, "download", lambda *_, **__: snapshot)
    source = dataclasses.replace(local.source, origin=Origin.HUB, revision="abc", root=None)
    return dataclasses.replace(local, source=source)


def test_weights_are_links_to_the_hubs_cache(hub_plan: generation.Plan, output: Path, tmp_path: Path) -> None:
    generation.write(hub_plan, force=False)
    for file in hub_plan.files:
        assert (output / "tiny/1/weights" / file.path).samefile(tmp_path / "hub/snapshots/abc" / file.path)
    assert "nothing changed" in generation.write(hub_plan, force=False)[0]


def test_weights_are_copies_where_copies_are_asked_for(hub_plan: generation.Plan, output: Path, tmp_path: Path) -> None:
    plan = dataclasses.replace(hub_plan, options=dataclasses.replace(hub_plan.options, weights=Weights.COPY))
    generation.write(plan, force=False)
    for file in plan.files:
        assert not (output / "tiny/1/weights" / file.path).samefile(tmp_path / "hub/snapshots/abc" / file.path)


def test_weights_stay_on_the_hub_where_they_shall(
    hub_plan: generation.Plan, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation.hub, "download", lambda *_, **__: pytest.fail("downloaded"))
    plan = dataclasses.replace(hub_plan, options=dataclasses.replace(hub_plan.options, weights=Weights.HUB))
    assert "would leave 4 files (0.1 MB) on the Hub until the model is loaded" in generation.would_write(plan)
    generation.write(plan, force=False)
    assert not (output / "tiny/1/weights").exists()
    assert (output / "tiny/1/model.py").exists()


def test_an_edit_of_a_link_does_not_reach_the_hubs_cache(
    hub_plan: generation.Plan, output: Path, tmp_path: Path
) -> None:
    generation.write(hub_plan, force=False)
    edit(output / "tiny", "1/weights/config.json", "\n")
    generation.write(dataclasses.replace(hub_plan, max_batch_size=7), force=False)
    assert (output / "tiny/1/weights/config.json").read_text().endswith("}\n\n")
    cached = (tmp_path / "hub/snapshots/abc/config.json").resolve()
    with cached.open("rb") as stream:
        assert manifest.digest(stream.read()) == cached.name
    assert generation.compare(hub_plan) == difference.Difference(
        changed=("config.pbtxt",), edited=("1/weights/config.json",)
    )


# ---- the command line itself


def test_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list-tasks"]) == 0
    listed = capsys.readouterr().out
    for spec in tasks.SPECS:
        assert spec.summary in listed
        assert all(name in listed for name in (spec.name, *spec.aliases))


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(argument: str) -> None:
    code = (
        "import sys\n"
        "from hub2triton.generate import command\n"
        f"sys.argv = ['generate-repo', {argument!r}]\n"
        "try: command.main()\n"
        "except SystemExit as exit_: assert not exit_.code\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not HEAVY & set(ran.stdout.splitlines()[-1].split())
    assert ("exit codes: 0 done" in ran.stdout) == (argument == "--help")
    assert (f"hub2triton {__version__}" in ran.stdout) == (argument == "--version")


def test_the_package_never_imports_torch_or_what_brings_it() -> None:
    code = (
        "import importlib, pkgutil, sys, hub2triton\n"
        "for module in pkgutil.walk_packages(hub2triton.__path__, 'hub2triton.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "transformers", "sentence_transformers"} & set(ran.stdout.split())
