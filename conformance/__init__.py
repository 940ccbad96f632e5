# SPDX-License-Identifier: MIT
"""The compatibility matrix and conformance suite for MORI-EP: wheels, surveys, differences, requirements, report."""
