"""Images with what is on them, made and real."""

from pathlib import Path

import pytest

from tests.datasets.own import exports
from tests.datasets.own.exports import Truth


@pytest.fixture
def made(tmp_path: Path) -> list[Truth]:
    return exports.made(tmp_path / 'truth')


@pytest.fixture(params=['made', 'real'])
def truths(request: pytest.FixtureRequest) -> list[Truth]:
    if request.param == 'made':
        return request.getfixturevalue('made')
    return exports.real(request.getfixturevalue('real_data'))
