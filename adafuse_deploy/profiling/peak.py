"""What this machine multiplies and adds at most with our kernels."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from adafuse_deploy.ops.c_functions import recorder_functions


def peak_gmacs(
    precision: str, threads: int, library: str | os.PathLike[str] | None = None
) -> float:
    """Measure 10^9 multiply-accumulates a second of so many threads together.

    All run the inner loop of our kernels at the same time, each on data in its first-level cache.

    Args:
        precision: "fp32", "bf16" or "int8".
        threads: at least 1.
        library: the operator library to measure; the installed one by default.

    Raises:
        MissingDependencyError: there is no operator library, or an older one.
    """
    functions = recorder_functions(library)
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(functions.adafuse_peak, [precision.encode()] * threads))
    return sum(found)
