# SPDX-License-Identifier: MIT
"""Everything that a program needs around it to find the virtual GPU, as one value: its environment variables.

Nothing of the program or its packages is changed. A folder in the cache holds what the loader must find first (our
runtime under every name that the program's packages ask for, and stubs), and one looks like an installed ROCm.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import __version__
from .architectures import DEFAULT_ARCHITECTURE, architecture_variables
from .errors import SetupError
from .libraries import LibraryPlan, find_consumers, plan_libraries
from .rocm_tree import build_rocm_tree
from .stubs import build_stubs

_PACKAGE = Path(__file__).resolve().parent
RUNTIME_LIBRARIES = ("libamdhip64.so.7", "libhsa-runtime64.so.1", "libvirtual_rocm_tensors.so")


@dataclass(frozen=True)
class VirtualEnvironment:
    """Where things are, and the variables that tell a program so."""

    root: Path  # of this set-up, in the cache
    libraries: Path
    rocm: Path
    plan: LibraryPlan
    variables: Mapping[str, str]

    def apply_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """`environment` with ours added: lists are put in front, what the caller has set himself stays."""
        merged = dict(environment)
        for name, value in self.variables.items():
            if name in ("LD_LIBRARY_PATH", "PYTHONPATH") and merged.get(name):
                merged[name] = f"{value}:{merged[name]}"
            elif name == "LD_PRELOAD" and merged.get(name):
                merged[name] = f"{value} {merged[name]}"
            elif name == "VIRTUAL_ROCM_ARCHITECTURE":
                merged[name] = value  # the command line's goes before the caller's, see `checked_architecture`
            else:
                merged.setdefault(name, value)
        return merged


def runtime_folder() -> Path:
    """The folder with our built libraries: that of VIRTUAL_ROCM_LIBRARIES, of the installed package, or of a build."""
    candidates = [_PACKAGE / "lib", _PACKAGE.parent / "build" / "native" / "lib"]
    if named := os.environ.get("VIRTUAL_ROCM_LIBRARIES"):
        candidates = [Path(named)]
    for folder in candidates:
        if all((folder / name).exists() for name in RUNTIME_LIBRARIES):
            return folder
    raise SetupError(
        f"the native libraries are not built (looked in {', '.join(map(str, candidates))}): install the package with "
        "pip, or build it with: cmake -S virtual_rocm/native -B build/native -G Ninja && cmake --build build/native"
    )


def cache_folder() -> Path:
    """Where set-ups are kept: VIRTUAL_ROCM_CACHE, or virtual_rocm in the user's cache folder."""
    if named := os.environ.get("VIRTUAL_ROCM_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtual_rocm"


def site_packages_of(python: str) -> list[Path]:
    """The folders in which that interpreter finds installed packages."""
    code = (
        "import json, site, sys, sysconfig; "
        "print(json.dumps(sorted({*site.getsitepackages(), sysconfig.get_path('platlib'), *(p for p in sys.path if p "
        "and p.endswith('-packages'))})))"
    )
    try:
        result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f"{python} does not tell its site-packages: {error}") from error
    return [Path(path) for path in json.loads(result.stdout)]


def prepare(
    package_roots: Sequence[Path], *, torch_bridge: bool = True, architecture: str = DEFAULT_ARCHITECTURE
) -> VirtualEnvironment:
    """Set up for the packages in `package_roots`; what an earlier call made is used again.

    Safe to call from several processes at once: a set-up is made aside and appears by a rename.
    """
    runtime = runtime_folder()
    consumers = find_consumers(package_roots)
    key = _key(runtime, [library.path for library in consumers])
    root = cache_folder() / "setup" / key
    plan = plan_libraries(consumers)
    if not (root / "complete").exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=root.parent))
        try:
            _fill(aside, runtime, plan)
            aside.rename(root)
        except OSError:
            if not (root / "complete").exists():
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return VirtualEnvironment(
        root=root,
        libraries=root / "lib",
        rocm=root / "rocm",
        plan=plan,
        variables={**_variables(root, plan, torch_bridge), **architecture_variables(architecture)},
    )


def _key(runtime: Path, consumers: Sequence[Path]) -> str:
    """Changes with the packages' libraries, with ours, and with what makes the set-up."""
    digest = hashlib.sha256(f"{__version__} {sys.executable} {_PACKAGE}".encode())
    made_by = sorted(_PACKAGE.glob("*.py"))
    for path in [*(runtime / name for name in RUNTIME_LIBRARIES), *consumers, *made_by]:
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _fill(root: Path, runtime: Path, plan: LibraryPlan) -> None:
    libraries = root / "lib"
    libraries.mkdir()
    for name in (*RUNTIME_LIBRARIES, "libamdhip64.so", "libhsa-runtime64.so"):
        target = next((ours for ours in RUNTIME_LIBRARIES if ours.startswith(f"{name}.")), name)
        (libraries / name).symlink_to(runtime / target)
    for asked, ours in plan.runtime_names.items():
        if not (libraries / asked).exists():
            (libraries / asked).symlink_to(runtime / ours)
    build_stubs(plan.stubs, libraries)
    build_rocm_tree(root / "rocm", libraries)
    (root / "complete").touch()


def _variables(root: Path, plan: LibraryPlan, torch_bridge: bool) -> dict[str, str]:
    libraries = root / "lib"
    preload = list(plan.preload)
    variables = {
        "LD_LIBRARY_PATH": str(libraries),
        "ROCM_PATH": str(root / "rocm"),
        "HIP_PATH": str(root / "rocm"),
        "HIP_PLATFORM": "amd",
        "VIRTUAL_ROCM_ROOT": str(root),
    }
    if torch_bridge:
        preload.append("libvirtual_rocm_tensors.so")
        variables["PYTHONPATH"] = str(_PACKAGE / "bridge")
    if preload:
        variables["LD_PRELOAD"] = " ".join(preload)
    return variables
