"""What a gate decides over one channel of one frame, in the paper's numbering."""

from __future__ import annotations

KEEP, REUSE, SKIP = 0, 1, 2
"""Actions (arXiv 2102.05775, section 3.1): compute the channel, copy it from the previous frame, or
set it to zero."""

ACTION_NAMES = ("keep", "reuse", "skip")
"""By their numbers."""
