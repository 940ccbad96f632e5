# SPDX-License-Identifier: MIT
"""What holds for every published wheel: kernels compile, code decodes, symbols are there. `python -m` this package."""
