# SPDX-License-Identifier: MIT
"""The suite as a pytest plugin: one item for each wheel × lane × requirement, and × kernel type where there are several.

    pytest -p conformance.suite.plugin --pyargs conformance.suite.test_requirements --wheel 1.2.4 -n 2

Items of one wheel and lane stay together, so that they share ranks; `-k`, `-x`, `--junit-xml` and pytest-xdist work as always.
What was measured is kept in `--measured`, and is not measured again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.catalogue import DEPTHS, KERNEL_TYPES, Aspect, Depth, aspects, load_catalogue
from conformance.errors import ConformanceError, SelectionError
from conformance.matrix import Matrix, load_matrix
from conformance.selection import Chosen, choose_wheels, find_matrix
from conformance.suite.judges import CHECKS
from conformance.suite.lanes import Torchrun
from conformance.suite.measuring import Measurement, Setup
from conformance.suite.progress import ProgressBars
from conformance.verdicts import Record, Verdict, apply_expectations
from conformance.wheels import Wheel

__all__ = ["Item", "Verdicts"]

_DEFAULT_FOLDER = Path("results") / "measured"
_OPTIONS = (
    ("--wheel", {"action": "append", "default": [], "help": "a wheel or group of the matrix; may be repeated"}),
    ("--requirement", {"action": "append", "default": [], "help": "an id or group; may be repeated"}),
    (
        "--kernel-type",
        {"action": "append", "default": [], "choices": KERNEL_TYPES, "help": "only these; may be repeated"},
    ),
    ("--depth", {"choices": DEPTHS, "default": "standard", "help": "how far to look (default: standard)"}),
    ("--lane", {"action": "append", "default": [], "choices": ("virtual", "rocm"), "help": "where (default: virtual)"}),
    ("--matrix", {"type": Path, "help": "matrix file (default: matrix.toml here or above)"}),
    ("--measured", {"type": Path, "default": _DEFAULT_FOLDER, "help": "folder of what was measured"}),
    ("--fresh", {"action": "store_true", "help": "measure again what was measured before"}),
    ("--case-deadline", {"type": float, "default": 240.0, "help": "seconds for one case"}),
    ("--device-coverage", {"type": Path, "help": "folder for what the virtual lane executes of each wheel's kernels"}),
    ("--base-python", {"type": Path, "help": "an interpreter with torch and numpy for the ranks"}),
    ("--torchrun", {"metavar": "OPTIONS", "help": "start ranks with torchrun, with these options ('' for none)"}),
    ("--bars", {"action": "store_true", "help": "show a progress bar for each wheel"}),
    ("--nodes", {"type": int, "default": 1, "help": "machines that share the ranks (with --torchrun)"}),
)


@dataclass(frozen=True)
class Item:
    """What one test is about."""

    wheel: Wheel
    lane: str
    aspect: Aspect

    @property
    def group(self) -> str:
        return f"{self.wheel.label}-{self.lane}"

    def __str__(self) -> str:
        return f"{self.group}-{self.aspect}"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    for name, settings in _OPTIONS:
        group.addoption(name, **settings)


def _torchrun(config: pytest.Config) -> Torchrun | None:
    options = config.getoption("--torchrun")
    return None if options is None else Torchrun(config.getoption("--nodes"), tuple(shlex.split(options)))


def select_items(
    chosen: Sequence[Chosen],
    lanes: Sequence[str],
    requirements: Sequence[str],
    depth: Depth = "standard",
    kernel_types: Sequence[str] = (),
) -> tuple[Item, ...]:
    """All items of a selection; the requirements in the catalogue's order.

    Raises:
        SelectionError: a requirement that no lane shows.
    """
    catalogue = [item for item in load_catalogue() if item.id in CHECKS]
    wanted = {name.upper() for name in requirements}
    for name in sorted(wanted):
        if not any(name in (item.id, item.group) for item in catalogue):
            raise SelectionError(f"no requirement or group {name!r} is judged by running")
    return tuple(
        Item(choice.wheel, lane, aspect)
        for choice in chosen
        for lane in lanes
        for aspect in aspects(catalogue, depth, kernel_types)
        if lane in aspect.requirement.lanes
        and (not wanted or wanted & {aspect.requirement.id, aspect.requirement.group})
    )


class Verdicts:
    """Gives the verdict on an item; holds one wheel and lane at a time."""

    def __init__(self, matrix: Matrix, items: Sequence[Item], setup: Setup) -> None:
        self._matrix, self._items, self._setup = matrix, items, setup
        self._measurement: Measurement | None = None

    def record(self, item: Item) -> Record:
        """Measured now, or earlier; after the expectations of the matrix."""
        current = self._measurement
        if current is None or (current.wheel, current.lane) != (item.wheel, item.lane):
            self.close()
            own = [other.aspect for other in self._items if (other.wheel, other.lane) == (item.wheel, item.lane)]
            self._measurement = current = Measurement(item.wheel, item.lane, own, self._setup)
        record = current.record(*item.aspect.key)
        expectations = [
            expectation
            for expectation in self._matrix.expectations
            if (expectation.lane, expectation.requirement) == (item.lane, item.aspect.requirement.id)
        ]
        ((judged,), _) = apply_expectations([record], expectations, [item.wheel], [item.aspect.requirement.id])
        return judged

    def close(self, error: BaseException | None = None) -> None:
        """End the ranks and complete the journal."""
        current, self._measurement = self._measurement, None
        if current is not None:
            current.__exit__(type(error) if error else None, error, None)


class _Session:
    """What the options of one session mean."""

    def __init__(self, config: pytest.Config) -> None:
        matrix = load_matrix(find_matrix(config.getoption("--matrix")))
        chosen = choose_wheels(matrix, config.getoption("--wheel") or ["stable"])
        self.items = select_items(
            chosen,
            config.getoption("--lane") or ["virtual"],
            config.getoption("--requirement"),
            config.getoption("--depth"),
            config.getoption("--kernel-type"),
        )
        setup = Setup(
            config.getoption("--measured"),
            fresh=config.getoption("--fresh"),
            deadline=config.getoption("--case-deadline"),
            base=config.getoption("--base-python"),
            torchrun=_torchrun(config),
            device_coverage=config.getoption("--device-coverage"),
            files={choice.wheel.sha256: choice.file for choice in chosen if choice.file is not None},
        )
        self.verdicts = Verdicts(matrix, self.items, setup)


_SESSION = pytest.StashKey[_Session]()


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[_SESSION] = _Session(config)
    except ConformanceError as error:
        raise pytest.UsageError(str(error)) from error
    if config.getoption("--bars") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ProgressBars(config.stash[_SESSION].items), "conformance-bars")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All items of a wheel and lane go to one worker. (xdist's own groups are lost with pytest 9.2: item ids are fixed there.)"""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped, unused-ignore]

    class ByWheelAndLane(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return groups.get(nodeid.partition("[")[2].rpartition("]")[0], nodeid)

    groups = {str(item): item.group for item in config.stash[_SESSION].items}

    return ByWheelAndLane(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "measured" not in metafunc.fixturenames:
        return
    items = metafunc.config.stash[_SESSION].items
    metafunc.parametrize("measured", items, ids=[str(item) for item in items], indirect=True)


@pytest.fixture(scope="session")
def _verdicts(pytestconfig: pytest.Config) -> Iterator[Verdicts]:
    verdicts = pytestconfig.stash[_SESSION].verdicts
    yield verdicts
    verdicts.close()


@pytest.fixture
def measured(request: pytest.FixtureRequest, _verdicts: Verdicts, record_property: object) -> Record:
    """The verdict on the item's requirement."""
    item: Item = request.param
    record = _verdicts.record(item)
    assert callable(record_property)
    for name, value in (
        ("requirement", record.requirement),
        ("wheel", record.wheel),
        ("sha256", record.sha256),
        ("lane", record.lane),
        ("kernel_type", record.kernel_type),
        ("verdict", record.verdict.value),
        ("message", record.message),
    ):
        record_property(name, value)
    return record


def tell(record: Record) -> None:
    """A verdict in pytest's terms: passed, failed, skipped (nothing was found out) or an expected failure."""
    observed = "".join(f"\n    | {line}" for line in record.evidence.observed)
    text = f"{record.subject} on {record.wheel}, lane {record.lane}: {record.verdict.value}: {record.message}"
    if record.verdict is Verdict.PASS:
        return
    if record.verdict is Verdict.EXPECTED_FAIL:
        pytest.xfail(f"{record.message} ({record.link})")
    if record.verdict in (Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN):
        pytest.skip(f"{record.verdict.value}: {record.message}")
    pytest.fail(f"{text}{observed}\n    repeat: {record.evidence.command}", pytrace=False)
