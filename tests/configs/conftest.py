"""Loading a hundred configs would read upstream's model indexes a thousand times."""

import functools

import pytest


@pytest.fixture(scope='session', autouse=True)
def _indexes_are_read_once():
    with pytest.MonkeyPatch.context() as patch:
        from mmengine.config import utils

        patch.setattr(utils, 'load', functools.cache(utils.load))
        yield
