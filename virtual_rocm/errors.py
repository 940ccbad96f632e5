# SPDX-License-Identifier: MIT
"""What goes wrong in virtual_rocm, as one tree of exceptions."""


class VirtualRocmError(Exception):
    """Base of all errors of this package. The message says what to do."""


class SetupError(VirtualRocmError):
    """The machine or the program lacks something that the virtual GPU needs."""


class ElfError(VirtualRocmError):
    """A file is not a shared object that can be read."""


class LaunchError(VirtualRocmError):
    """The ranks could not be started as asked."""


class CoverageError(VirtualRocmError):
    """There is no coverage where it is looked for, or it cannot be read."""
