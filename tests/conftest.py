# SPDX-License-Identifier: MIT
"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Machines that run these are shared: a deadline on one example would fail for reasons outside the code.
settings.register_profile("moriep", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("moriep")
