# SPDX-License-Identifier: MIT
"""Stub libraries: shared objects that define the symbols which a program takes from a library that is not here.

The program must not depend on them to do anything. A stub function returns 0, and says so in the log; a few answer in
the way of a machine without the hardware in question. Calling a stub that the program relies on is thus found in the log.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .elf import NeededSymbol
from .errors import SetupError
from .libraries import StubPlan
from .rocm_tree import find_llvm_tool

# Functions for which 0 would be the wrong answer: the body of `long name(long a, long b, long c)`.
_ANSWERS = {
    "ibv_get_device_list": "static void *none[1]; if (a) *(int *)a = 0; return (long)none;",
    "numa_available": "return -1;",  # no NUMA
    "pci_alloc": "static long access[8192]; return (long)access;",  # an access method that finds no device
    "rsmi_init": "return 8;",  # RSMI_STATUS_INIT_ERROR
    "amdsmi_init": "return 34;",  # AMDSMI_STATUS_DRIVER_NOT_LOADED
}

# No headers and no C library at build time: a machine may have a compiler and neither. 525377 is O_WRONLY | O_CREAT |
# O_APPEND | O_CLOEXEC, 420 is rw-r--r--.
_PROLOGUE = """\
extern char *getenv(const char *);
extern int open(const char *, int, ...), close(int), strcmp(const char *, const char *);
extern long write(int, const void *, unsigned long);
extern unsigned long strlen(const char *);
__attribute__((unused, noinline)) static long stub_called(const char *text) {
  const char *path = getenv("VIRTUAL_ROCM_LOG");
  if (path && *path) {
    int log = strcmp(path, "stderr") ? open(path, 525377, 420) : 2;
    if (log >= 0 && write(log, text, strlen(text)) < 0) return 0;
    if (log > 2) close(log);
  }
  return 0;
}
"""


def find_c_compiler() -> str:
    """The C compiler that builds the stubs. Raises SetupError if there is none."""
    candidates = [os.environ.get("CC", ""), "cc", "gcc", "clang"] + [f"clang-{n}" for n in range(25, 14, -1)]
    for name in candidates:
        if name and (path := shutil.which(name.split()[0])):
            return path
    raise SetupError("no C compiler (cc, gcc or clang) is on the PATH: install one, or set CC")


def is_data(symbol: NeededSymbol) -> bool:
    """Whether a needed symbol is an object and not a function, as far as its name and use tell.

    An undefined symbol has no type. One that is only called is a function; among the others, C++ names tell: a function's
    mangled name ends in its parameters' types, a variable's ends with the name. A C name does not tell: a function, then.
    """
    if symbol.called:
        return False
    name = symbol.name
    if name.startswith(("_ZTV", "_ZTI", "_ZTS", "_ZTT", "_ZGV")):
        return True
    return name.startswith("_Z") and _name_end(name) == len(name)


def _name_end(mangled: str) -> int:
    """Where the name in a mangled symbol ends and the parameters' types begin; -1 for forms not read here."""
    nested = mangled.startswith("_ZN")
    at = 3 if nested else 2
    while at < len(mangled):
        if length := re.compile(r"B?(\d+)").match(mangled, at):  # an identifier, or an ABI tag on the one before
            at = length.end() + int(length[1])
            if not nested and mangled[at : at + 1] != "B":
                return at
        elif part := re.compile(r"[KVrL]|S[tabsiod]|S[0-9A-Z]*_").match(mangled, at):
            at = part.end()
        else:
            return at + 1 if nested and mangled[at] == "E" else -1
    return -1


def stub_source(plan: StubPlan) -> tuple[str, str]:
    """The C source of a stub library, and its linker version script (empty if no symbol has a version)."""
    lines = [_PROLOGUE]
    versions: dict[str, list[str]] = {}
    for index, symbol in enumerate(plan.symbols):
        label = symbol.name if symbol.version is None else f"stub_{index}"
        if is_data(symbol):
            lines.append(f'long data_{index}[512] __asm__("{label}") = {{0}};')
        else:
            answer = _ANSWERS.get(symbol.name)
            body = answer or f'return stub_called("[virtual_rocm] stub {symbol.name} of {plan.soname} called\\n");'
            lines.append(
                f'long f_{index}(long a, long b, long c) __asm__("{label}");\n'
                f"long f_{index}(long a, long b, long c) {{ (void)a; (void)b; (void)c; {body} }}"
            )
        if symbol.version is not None:
            lines.append(f'__asm__(".symver {label},{symbol.name}@@{symbol.version}");')
            versions.setdefault(symbol.version, []).append(symbol.name)
    script = "".join(
        f"{version} {{ global: {' '.join(f'{n};' for n in names)} }};\n" for version, names in versions.items()
    )
    return "\n".join(lines) + "\n", script


def build_stubs(plans: Sequence[StubPlan], folder: Path) -> None:
    """Generate every library of `plans` in `folder`. Raises SetupError with the compiler's words if one fails."""
    if not plans:
        return
    compiler = find_c_compiler()
    sources = folder / "stubs"
    sources.mkdir(parents=True, exist_ok=True)
    for plan in plans:
        source, script = stub_source(plan)
        code = sources / f"{plan.soname}.c"
        code.write_text(source)
        command = [compiler, "-shared", "-fPIC", "-O1", "-w", "-nostdlib", f"-Wl,-soname,{plan.soname}"]
        if not shutil.which("ld") and (linker := find_llvm_tool("ld.lld")):
            command.append(f"--ld-path={linker}")
        if script:
            version_script = sources / f"{plan.soname}.map"
            version_script.write_text(script)
            command.append(f"-Wl,--version-script={version_script}")
        command += [str(code), "-o", str(folder / plan.soname)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            raise SetupError(f"the stub of {plan.soname} could not be built with {compiler}:\n{result.stderr}")
