# SPDX-License-Identifier: MIT
"""Hypothesis strategies for wheels' facts: small, but able to differ in every way that counts."""

from __future__ import annotations

from hypothesis import strategies as st

from conformance.survey.facts import Capacity, Guard, KernelFunction, Library, WheelFacts
from moriep.surface import ClassSurface, Field, Method, Parameter, Surface

NAMES = ("alpha", "beta", "gamma", "delta")


def _unique(values: st.SearchStrategy, key: str = "name", most: int = 4) -> st.SearchStrategy:
    return st.lists(values, max_size=most, unique_by=lambda item: getattr(item, key)).map(tuple)


names = st.sampled_from(NAMES)
fields = st.builds(Field, names, st.sampled_from(("int", "bool")), st.sampled_from((None, "0", "1")))
parameters = st.builds(
    Parameter,
    names,
    st.sampled_from(("positional_or_keyword", "keyword_only")),
    st.none(),
    st.sampled_from((None, "0", "1")),
)
methods = st.builds(Method, names, _unique(parameters), st.lists(names, max_size=2, unique=True).map(tuple))
configs = st.builds(ClassSurface, st.just("EpDispatchCombineConfig"), _unique(fields), st.just(()))
ops = st.builds(ClassSurface, st.just("EpDispatchCombineOp"), st.just(()), _unique(methods))
surfaces = st.builds(
    Surface,
    release=st.just("amd-mori 9.0.0 (cp310)"),
    config=configs,
    op=ops,
    config_v2=st.none() | configs,
    op_v2=st.none() | ops,
    quant_types=st.lists(names, max_size=3, unique=True).map(tuple),
    kernel_types=st.dictionaries(names, st.integers(0, 3), max_size=3),
    exports=st.lists(names, max_size=3, unique=True).map(lambda found: tuple(sorted(found))),
)
guards = st.builds(
    Guard,
    st.sampled_from(("a.hpp", "b.cpp")),
    names,
    st.integers(1, 99),
    st.sampled_from(("x < y", "x <= y")),
    st.sampled_from(("overflow", "Overflow")),
    st.lists(names, max_size=2, unique=True).map(lambda found: tuple(sorted(found))),
)
facts = st.builds(
    WheelFacts,
    sha256=st.just("0" * 64),
    surface=surfaces,
    package_version=st.just("9.0.0"),
    rocm_build=st.sampled_from((None, "7.2.4", "7.14")),
    rocm_pattern=st.none(),
    python_variables=st.lists(names, max_size=3, unique=True).map(lambda found: tuple(sorted(found))),
    native_variables=st.just(()),
    libraries=st.lists(
        st.builds(
            Library, st.sampled_from(("a.so", "b.so")), st.none() | st.just(("libc.so.6",)) | st.just(("libx.so.1",))
        ),
        max_size=2,
        unique_by=lambda item: item.path,
    ).map(tuple),
    bundled_libraries=st.just(()),
    guards=st.lists(guards, max_size=3).map(lambda found: tuple(sorted(found))),
    device_asserts=st.dictionaries(st.sampled_from(("a.hpp", "b.cpp")), st.integers(1, 3), max_size=2),
    kernel_functions=st.lists(
        st.builds(KernelFunction, st.sampled_from(("a.hpp", "b.cpp")), names, st.sampled_from(("1", "2"))), max_size=4
    ).map(tuple),
    capacity=st.lists(st.builds(Capacity, names, st.sampled_from(("{ return a; }", "{ return b; }"))), max_size=1).map(
        tuple
    ),
    launch_defaults=st.dictionaries(names, st.sampled_from((("1",), ("2",))), max_size=2),
    method_digests=st.dictionaries(names, st.sampled_from(("1", "2")), max_size=3),
)
