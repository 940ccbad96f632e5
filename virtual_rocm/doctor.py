# SPDX-License-Identifier: MIT
"""Says what this machine lacks to be a virtual GPU, and the one command that gets it."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .architectures import ARCHITECTURES, DEFAULT_ARCHITECTURE, checked_architecture, compiler_for, debian_packages
from .compiler.toolchain import find_rocm_hipcc
from .environment import RUNTIME_LIBRARIES, cache_folder, runtime_folder
from .errors import SetupError, VirtualRocmError
from .stubs import find_c_compiler

# What brings clang with its AMDGPU target, and lld. Where packages name no release, they bring a new one.
_COMPILER_PACKAGES = {
    "apt-get": ("install", "-y"),
    "dnf": ("install", "-y", "clang", "lld"),
    "zypper": ("install", "-y", "clang", "lld"),
    "pacman": ("-S", "--noconfirm", "clang", "lld"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    ok: bool
    detail: str
    fix: tuple[str, ...] = ()  # the command that mends it; empty if no command can


def _platform() -> Finding:
    ok = sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")
    return Finding(
        "system",
        ok,
        f"{platform.system()} on {platform.machine()}" + ("" if ok else ": Linux on x86-64 is needed"),
    )


def _processor() -> Finding:
    try:
        flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    except OSError:
        flags = set()
    missing = {"avx2", "fma", "bmi2"} - flags
    if missing:
        return Finding(
            "processor", False, f"lacks {', '.join(sorted(missing))}: a processor of 2013 or later is needed"
        )
    return Finding("processor", True, "has AVX2")


def _native() -> Finding:
    try:
        folder = runtime_folder()
    except SetupError as error:
        return Finding(
            "native libraries",
            False,
            str(error),
            (sys.executable, "-m", "pip", "install", "--force-reinstall", "virtual-rocm"),
        )
    return Finding("native libraries", True, f"{', '.join(RUNTIME_LIBRARIES)} in {folder}")


def _device_compiler(architecture: str = DEFAULT_ARCHITECTURE) -> Finding:
    subject = "device compiler" + ("" if architecture == DEFAULT_ARCHITECTURE else f" for {architecture}")
    try:
        toolchain = compiler_for(architecture)
    except VirtualRocmError as error:
        return Finding(subject, False, str(error), _install_compiler(architecture))
    if toolchain is None:
        return Finding(subject, True, f"ROCm's own, {find_rocm_hipcc()}")
    return Finding(subject, True, f"clang {toolchain.version}, {toolchain.clang}")


def _stub_compiler() -> Finding:
    try:
        return Finding("C compiler for stub libraries", True, find_c_compiler())
    except SetupError as error:
        return Finding("C compiler for stub libraries", False, str(error), _install_compiler())


def _cache() -> Finding:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if writable:
        return Finding("cache", True, str(folder))
    return Finding("cache", False, f"{folder} cannot be written: set VIRTUAL_ROCM_CACHE to a folder that can")


def _device_memory() -> Finding:
    """Allocates on the virtual device, in a process of its own, and lets another process map it."""
    try:
        folder = runtime_folder()
    except SetupError:
        return Finding("device memory", False, "not tried: the native libraries are not there")
    owner = (
        "import ctypes, subprocess, sys\n"
        f"hip = ctypes.CDLL({str(folder / RUNTIME_LIBRARIES[0])!r})\n"
        "p = ctypes.c_void_p(); handle = ctypes.create_string_buffer(64)\n"
        "assert hip.hipMalloc(ctypes.byref(p), ctypes.c_size_t(4096)) == 0, 'hipMalloc'\n"
        "assert hip.hipIpcGetMemHandle(handle, p) == 0, 'hipIpcGetMemHandle'\n"
        "sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1], handle.raw.hex()]).returncode)\n"
    )
    peer = (
        "import ctypes, sys\n"
        f"hip = ctypes.CDLL({str(folder / RUNTIME_LIBRARIES[0])!r})\n"
        "class Handle(ctypes.Structure): _fields_ = [('bytes', ctypes.c_char * 64)]\n"
        "handle = Handle.from_buffer_copy(bytes.fromhex(sys.argv[1])); p = ctypes.c_void_p()\n"
        "assert hip.hipIpcOpenMemHandle(ctypes.byref(p), handle, 1) == 0, 'hipIpcOpenMemHandle'\n"
        "ctypes.memset(p.value, 1, 4096)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", owner, peer],
        capture_output=True,
        text=True,
        env={**os.environ, "VIRTUAL_ROCM_LOG": "stderr"},
    )
    if result.returncode == 0:
        return Finding("device memory", True, "allocated, and mapped by a second process")
    return Finding("device memory", False, f"cannot be shared between processes:\n{result.stderr.strip()}")


def _install_compiler(architecture: str = DEFAULT_ARCHITECTURE) -> tuple[str, ...]:
    for manager, arguments in _COMPILER_PACKAGES.items():
        if path := shutil.which(manager):
            named = debian_packages(architecture) if manager == "apt-get" else ()
            return (*_as_root(), path, *arguments, *named)
    return ()


def _as_root() -> tuple[str, ...]:
    return () if os.geteuid() == 0 else ("sudo",)


_CHECKS: tuple[Callable[[], Finding], ...] = (
    _platform,
    _processor,
    _native,
    _device_compiler,
    _stub_compiler,
    _cache,
    _device_memory,
)


def examine(architecture: str = DEFAULT_ARCHITECTURE) -> list[Finding]:
    """Look at everything, in an order in which the first failure is likely the cause of later ones."""
    findings = [check() for check in _CHECKS]
    if architecture != DEFAULT_ARCHITECTURE:
        findings.append(_device_compiler(architecture))
    return findings


def doctor(*, fix: bool = False, architecture: str | None = None) -> int:
    """Print the findings; with `fix`, run the commands that mend them and look again. 0 if nothing is missing.

    Args:
        architecture: what the virtual GPU shall be. What only another one needs is named, but is not missing.
    """
    architecture = checked_architecture(architecture)
    findings = examine(architecture)
    _print(findings)
    _print_other_architectures(architecture)
    commands = list(dict.fromkeys(finding.fix for finding in findings if not finding.ok and finding.fix))
    if not commands:
        return 0 if all(finding.ok for finding in findings) else 1
    if not fix:
        print("\nTo get what is missing:" + "".join(f"\n  {shlex.join(command)}" for command in commands))
        print("(python -m virtual_rocm doctor --fix runs it)")
        return 1
    for command in commands:
        if not _run(command):
            return 1
    findings = examine(architecture)
    _print(findings)
    return 0 if all(finding.ok for finding in findings) else 1


def _run(command: Sequence[str]) -> bool:
    print(f"\n$ {shlex.join(command)}", flush=True)
    if Path(command[0]).name == "apt-get" or (len(command) > 1 and Path(command[1]).name == "apt-get"):
        # Without the lists of packages, an install finds nothing on a fresh machine.
        update = [*command[: command.index("install")], "update", "-q"]
        subprocess.run(update, check=False)
    code = subprocess.run(command, check=False).returncode
    if code:
        print(f"virtual_rocm: that failed with exit code {code}", file=sys.stderr)
    return code == 0


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{'ok     ' if finding.ok else 'MISSING'}  {finding.subject}: {finding.detail}")


def _print_other_architectures(architecture: str) -> None:
    for other in ARCHITECTURES:
        if other in (architecture, DEFAULT_ARCHITECTURE):
            continue
        finding = _device_compiler(other)
        if finding.ok:
            print(f"ok       {finding.subject}: {finding.detail}")
        else:
            print(
                f"ok       {finding.subject}: none, needed where the virtual GPU is to be a {other}: {finding.detail}; "
                f"`python -m virtual_rocm doctor --architecture {other} --fix` gets it"
            )
