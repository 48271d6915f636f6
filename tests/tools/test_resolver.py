"""What the resolver says of packages that cannot be installed."""

import pytest

from tools import resolver


def test_what_cannot_be_installed_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    refusal = resolver.beside("a-package-that-is-not-there")
    assert "a-package-that-is-not-there" in (refusal or "")
