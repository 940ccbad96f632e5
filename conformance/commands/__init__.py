# SPDX-License-Identifier: MIT
"""What the commands do and print."""
