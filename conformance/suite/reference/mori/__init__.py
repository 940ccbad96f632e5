# SPDX-License-Identifier: MIT
"""A fake `mori` on the reference semantics: what dispatch and combine are to do, on the host, over torch.distributed.

It is put on the module path in place of the real one, to test the suite: the correct variant must pass everything, and each
broken one (`witnesses`, chosen by MORI_REFERENCE_WITNESS when an op is made) must be caught. It is written from the documented
behaviour of the op and shares no code with the suite's oracle.
"""

from . import ops, shmem

__all__ = ["ops", "shmem"]
