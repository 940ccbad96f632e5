# SPDX-License-Identifier: MIT
"""`python -m conformance report`."""
