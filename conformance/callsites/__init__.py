# SPDX-License-Identifier: MIT
"""A user's own calls of MORI-EP: found by reading the source, judged against what each release accepts and does."""
