"""What the compiler's tests share: a compiler, and a cache of their own."""

from collections.abc import Iterator

import pytest

from mobilenets.compiler import has_compiler


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Libraries are compiled once for all tests, and never taken from what lies in the user's cache."""
    if not has_compiler():
        pytest.skip("no C compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILENETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
