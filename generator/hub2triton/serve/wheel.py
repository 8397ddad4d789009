"""The tritonserver inside the wheel nvidia-pytriton, and what it needs around it to run.

The wheel's layout is that of nvidia-pytriton 0.7 (Triton 2.51): a binary linked to the libraries beside it, the Python
backend without its stub, and one stub for each minor version of Python. The package is never imported, only found.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from hub2triton.error import ServeError

_STUB = "triton_python_backend_stub"
_BACKEND_FILES = ("libtriton_python.so", "triton_python_backend_utils.py")


@dataclass(frozen=True)
class Wheel:
    """An installed wheel nvidia-pytriton.

    Attributes:
        server: The folder `pytriton/tritonserver`.
        libraries: The folder of the shared libraries the binary is linked to.
    """

    server: Path
    libraries: Path

    @property
    def binary(self) -> Path:
        """The tritonserver binary."""
        return self.server / "bin" / "tritonserver"

    def stub(self, version: str) -> Path:
        """The process that runs a model under Python `version`, such as 3.11."""
        return self.server / "python_backend_stubs" / version / _STUB


def find_wheel() -> Wheel | None:
    """The installed wheel; None where it is not installed, or carries no binary."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(next(iter(spec.submodule_search_locations)))
    wheel = Wheel(package / "tritonserver", package.parent / "nvidia_pytriton.libs")
    return wheel if wheel.binary.is_file() else None


def check_platform() -> None:
    """Refuses machines for which there is no wheel.

    Raises:
        ServeError: This is not Linux on x86-64.
    """
    here = f"{platform.system()} {platform.machine()}"
    if here not in ("Linux x86_64", "Linux AMD64"):
        message = (
            f"No tritonserver on PATH, and the one inside the wheel nvidia-pytriton runs on Linux x86-64 only (here: "
            f"{here}). Serve in NVIDIA's tritonserver container, or name a binary with --tritonserver."
        )
        raise ServeError(message)


def build_backends(wheel: Wheel, folder: Path) -> Path:
    """Lays out the backend folder for this interpreter as symbolic links.

    Args:
        wheel: Where the files are.
        folder: An existing folder to build in.

    Returns:
        The folder for `--backend-directory`.

    Raises:
        ServeError: The wheel has no stub for this minor version of Python.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel.stub(version)
    if not stub.is_file():
        known = ", ".join(sorted((path.name for path in stub.parent.parent.glob("*")), key=_minor))
        message = (
            f"The tritonserver inside nvidia-pytriton runs models under Python {known}, not {version}. "
            f"Install hub2triton under one of those, or name another tritonserver with --tritonserver."
        )
        raise ServeError(message)
    backends = folder / "backends"
    python = backends / "python"
    python.mkdir(parents=True)
    for name in _BACKEND_FILES:
        (python / name).symlink_to(wheel.server / "backends" / "python" / name)
    (python / _STUB).symlink_to(stub)
    return backends


def build_libraries(library: Path, folder: Path) -> Path:
    """A folder that holds the interpreter's library and nothing else.

    The library's own folder may be full of others (conda's libstdc++, Debian's everything), which on LD_LIBRARY_PATH
    would replace the ones the models' packages were built with.

    Returns:
        The folder for `LD_LIBRARY_PATH`.
    """
    libraries = folder / "lib"
    libraries.mkdir()
    (libraries / library.name).symlink_to(library)
    return libraries


def find_libpython() -> Path:
    """The shared library of this interpreter, which the stub is linked to.

    Raises:
        ServeError: This Python was built without one, or its package is not installed.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folders = [Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"), Path(sys.base_prefix) / "lib"]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        folders += [folder / multiarch for folder in (*folders, Path("/usr/lib"))]
    # A build that is itself static names its archive here; a shared library may lie beside it all the same.
    name = f"libpython{version}.so.1.0"
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    message = (
        f"tritonserver's Python backend needs {name}, and this Python ({sys.base_prefix}) has none. On Debian and "
        f"Ubuntu: apt install libpython{version}. With pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install "
        f"{version}. Pythons of conda and uv have it."
    )
    raise ServeError(message)


def _minor(version: str) -> int:
    return int(version.partition(".")[2] or 0)
