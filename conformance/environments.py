# SPDX-License-Identifier: MIT
"""One virtual environment for each wheel, for its ranks; torch and numpy are stored once for each Python.

A wheel's environment holds the wheel and nothing else (`amd-mori`, `amd-mori-nightly` and a foreign `mori` cannot meet), and
sees the packages of a base environment beside it. uv installs where it is present, pip elsewhere; both by the matrix's sha256.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import ConformanceError
from conformance.survey.cache import default_cache_folder
from conformance.wheels import Wheel

__all__ = [
    "EnvironmentFailure",
    "RankEnvironment",
    "add_base",
    "base_environment",
    "find_interpreter",
    "missing_downloads",
    "unfit",
    "wheel_environment",
]

# What ranks import besides the wheel. The range is wide: the suite takes whatever the index offers for that Python.
RANK_PACKAGES = ("numpy>=1.26", "torch>=2.6,<3")
# The index's build for CUDA, which is what an ordinary index has; the CPU build is a tenth of it.
_TORCH_DOWNLOAD, _TORCH_DISK = 3_000_000_000, 5_600_000_000
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_")
_COMPLETE = "complete"

Say = Callable[[str], None]


class EnvironmentFailure(ConformanceError):
    """An environment cannot be made.

    Attributes:
        machine: this machine cannot run the wheel at all (no interpreter, too old a C library); nothing went wrong.
        lines: what the installer printed.
    """

    def __init__(self, message: str, *, machine: bool = False, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.machine, self.lines = machine, tuple(lines)


@dataclass(frozen=True)
class RankEnvironment:
    """Attributes:
    python: its interpreter.
    packages: the folder that holds the wheel's packages.
    jit_cache: where the wheel keeps what it compiles.
    """

    python: Path
    packages: Path
    jit_cache: Path


def _folder(cache: Path | None) -> Path:
    return (cache or default_cache_folder()) / "environments"


def _wheel_folder(wheel: Wheel, cache: Path | None) -> Path:
    return _folder(cache) / f"{wheel.version}-{wheel.python}-{wheel.sha256[:12]}"


def _dotted(python: str) -> str:
    """`cp310` → `3.10`."""
    return f"{python[2]}.{python[3:]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _answers(command: str, version: str) -> str | None:
    """The real path of an interpreter, if it is one of that version (pyenv has programs that are none)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    try:
        done = subprocess.run([command, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found, _, path = done.stdout.strip().partition(" ")
    return path if done.returncode == 0 and found == version else None


def find_interpreter(python: str) -> Path:
    """An interpreter for wheels of a Python tag (`cp310`): of PATH, of pyenv, or of uv, which downloads one if it has to.

    Raises:
        EnvironmentFailure: there is none.
    """
    version = _dotted(python)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [f"python{version}", *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python{version}")))]
    for candidate in candidates:
        if (path := _answers(candidate, version)) is not None:
            return Path(path)
    if uv := shutil.which("uv"):
        for action in ("find", "install"):
            subprocess.run([uv, "python", action, "-q", version], capture_output=True, check=False)
            found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True, check=False)
            if found.returncode == 0 and (path := _answers(found.stdout.strip(), version)) is not None:
                return Path(path)
    raise EnvironmentFailure(
        f"Python {version} is needed for {python} wheels and was not found. With uv: `uv python install {version}`; with pyenv: "
        f"`pyenv install {version}`; on Debian and Ubuntu where they have it: `apt-get install python{version} "
        f"python{version}-venv`",
        machine=True,
    )


def _run(command: Sequence[str], what: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise EnvironmentFailure(f"{what}: {lines[-1].strip() if lines else 'no reason given'}", lines=lines[-20:])


def _create(python: Path, folder: Path) -> None:
    if uv := shutil.which("uv"):
        _run([uv, "venv", "-q", "--python", str(python), str(folder)], f"{folder.name}: no environment")
    else:
        _run([str(python), "-m", "venv", "--without-pip", str(folder)], f"{folder.name}: no environment")


def _install(python: Path, arguments: Sequence[str], what: str) -> None:
    if uv := shutil.which("uv"):
        _run([uv, "pip", "install", "-q", "--python", str(python), *arguments], what)
    else:
        _run([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", *arguments], what)


def _site_packages(folder: Path, python: str) -> Path:
    return folder / "lib" / f"python{_dotted(python)}" / "site-packages"


def _made_aside(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder once; a run that is killed, or a full disk, leaves none that looks complete.

    Environments hold their own path, so they are made where they stay.
    """
    if (folder / _COMPLETE).exists():
        return
    with _locked(folder.with_name(f".{folder.name}.lock")):
        if (folder / _COMPLETE).exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        try:
            make(folder)
            (folder / _COMPLETE).touch()
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise EnvironmentFailure(
                f"{folder}: cannot be made: {error.strerror or error}; free some space, or name another place with MORIEP_CACHE"
            ) from error
        except EnvironmentFailure:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _install_cpu_build(python: Path, what: str) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise EnvironmentFailure(f"{what}: only uv knows where builds without CUDA are")
    command = [uv, "pip", "install", "-q", "--python", str(python), "--torch-backend", "cpu", *RANK_PACKAGES]
    _run(command, what, {"UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0"})


def base_environment(python: str, *, cache: Path | None = None) -> Path:
    """The environment with torch and numpy for a Python tag; made if it is not there.

    Raises:
        EnvironmentFailure: no interpreter, no network, no space.
    """
    folder = _folder(cache) / f"base-{python}"

    def make(folder: Path) -> None:
        _create(find_interpreter(python), folder)
        interpreter = folder / "bin" / "python"
        what = f"torch for {python} cannot be installed"
        try:
            # A tenth of the download, where builds without CUDA can be reached.
            _install_cpu_build(interpreter, what)
        except EnvironmentFailure:
            _install(interpreter, RANK_PACKAGES, what)
        # Ranks write no byte code; without any, each start would compile all of torch. Some of its files are for newer Pythons.
        packages = _site_packages(folder, python)
        subprocess.run(
            [str(interpreter), "-m", "compileall", "-q", str(packages / "torch"), str(packages / "numpy")],
            capture_output=True,
            check=False,
        )

    _made_aside(folder, make)
    return folder


def unfit(wheel: Wheel, libc: str | None = None) -> str | None:
    """Why this machine cannot run a wheel, by its tag; None if nothing speaks against it."""
    found = _MANYLINUX.search(wheel.tag)
    have = libc if libc is not None else platform.libc_ver()[1]
    if found is None or not have:
        return None
    wanted = (int(found[1]), int(found[2]))
    if tuple(int(part) for part in have.split(".")[:2]) >= wanted:
        return None
    return (
        f"the wheel needs a C library (glibc) of version {wanted[0]}.{wanted[1]}, this system has {have}: run it on a newer "
        "one (2.39: Ubuntu 24.04, 2.41: Debian 13)"
    )


def wheel_environment(wheel: Wheel, *, file: Path | None = None, cache: Path | None = None) -> RankEnvironment:
    """The environment that holds the wheel and nothing else; made if it is not there. Its ranks need `add_base` too.

    Args:
        file: the wheel, if it is a file on disk.

    Raises:
        EnvironmentFailure: it cannot be made; `machine` tells whether it never could here.
    """
    if (reason := unfit(wheel)) is not None:
        raise EnvironmentFailure(reason, machine=True)
    folder = _wheel_folder(wheel, cache)

    def make(folder: Path) -> None:
        _create(find_interpreter(wheel.python), folder)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirement:
            requirement.write(f"{wheel.distribution}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
            requirement.flush()
            source = ["-r", requirement.name, "--require-hashes"] if file is None else [str(file)]
            _install(folder / "bin" / "python", ["--no-deps", *source], f"{wheel.label} cannot be installed")

    _made_aside(folder, make)
    return RankEnvironment(folder / "bin" / "python", _site_packages(folder, wheel.python), folder / "compiled")


def add_base(
    environment: RankEnvironment, wheel: Wheel, *, base: Path | None = None, cache: Path | None = None
) -> None:
    """Let the ranks of a wheel see torch and numpy.

    Args:
        base: an interpreter that has them (a build for ROCm, say); None for an environment of our own.

    Raises:
        EnvironmentFailure: there is none.
    """
    if base is None:
        base = base_environment(wheel.python, cache=cache) / "bin" / "python"
    elif _answers(str(base), _dotted(wheel.python)) is None:
        raise EnvironmentFailure(
            f"{base} is no Python {_dotted(wheel.python)}, for which {wheel.label} is", machine=True
        )
    lines = "".join(f"{path}\n" for path in _packages_of(base))
    try:
        (environment.packages / "beside.pth").write_text(lines, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"{environment.packages}: cannot be written: {error.strerror or error}") from error


def _packages_of(python: Path) -> list[str]:
    code = "import site, sys; print('\\n'.join(p for p in sys.path if p.endswith('-packages')))"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFailure(f"{python} does not run: {error}", machine=True) from error
    return done.stdout.split()


def missing_downloads(
    wheels: Sequence[Wheel], *, base: Path | None = None, cache: Path | None = None
) -> tuple[int, int]:
    """Bytes to download and bytes of disk, about, before ranks of these wheels can run here; (0, 0) if all is there.

    Raises:
        EnvironmentFailure: the disk has not that much.
    """
    fit = [wheel for wheel in wheels if unfit(wheel) is None]
    folder = _folder(cache)
    pythons = {wheel.python for wheel in fit} if base is None else set()
    bases = [python for python in pythons if not (folder / f"base-{python}" / _COMPLETE).exists()]
    new = [wheel for wheel in fit if not (_wheel_folder(wheel, cache) / _COMPLETE).exists()]
    download = len(bases) * _TORCH_DOWNLOAD + sum(wheel.size for wheel in new)
    # A wheel is about five times as large when it is unpacked.
    disk = len(bases) * _TORCH_DISK + sum(5 * wheel.size for wheel in new)
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if disk > free:
        raise EnvironmentFailure(
            f"{disk / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free: free some space, or name another place "
            "with MORIEP_CACHE"
        )
    return download, disk
