"""The server that tests run on, as it was started for this run."""

import tempfile
from pathlib import Path

import pytest
from sqlalchemy import URL

from pgmodern.testing.server import Choice, choose
from tests.conftest import Connect


@pytest.fixture
def choice(request: pytest.FixtureRequest) -> Choice:
    """Which server this run was started on."""
    return choose(request.config.getoption("--postgres"), lambda: None)


def test_the_data_of_a_started_server_lies_where_the_configuration_says(
    choice: Choice, postgres_url: URL, connect: Connect
) -> None:
    # This project's configuration says pgmodern_tmpfs, which a container heeds.
    folder = {"container": "/pgmodern", "embedded": tempfile.gettempdir()}.get(choice.server)
    if folder is None:
        pytest.skip("the server was there before the run")
    (data,) = connect(postgres_url).execute("SHOW data_directory").fetchone() or ("",)
    assert Path(folder) in Path(data).parents
