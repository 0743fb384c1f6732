"""What a release says is what the changelog says of its version."""

from __future__ import annotations

import pytest

from scripts.release_notes import CHANGELOG, release_notes

TEXT = "# Changelog\n\n## Unreleased\n- c\n\n## [0.2.0] - 2026\n\n### Added\n- b\n\n## 0.1.0\n- a\n"


def test_the_newest_version_or_the_one_that_is_asked_for() -> None:
    assert release_notes(TEXT) == release_notes(TEXT, "0.2.0") == "### Added\n- b\n"
    assert release_notes(TEXT, "0.1.0") == "- a\n"
    with pytest.raises(SystemExit, match=r"no version 3\.0"):
        release_notes(TEXT, "3.0")
    assert release_notes(CHANGELOG.read_text()).startswith("### Added\n")
