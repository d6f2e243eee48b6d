"""Names of repositories, and what is said of failures."""

import pytest

from mmseq.errors import InputError
from mmseq.share.hub import repository, upload


def test_names():
    assert repository('hf://me/a-model_1.0') == 'me/a-model_1.0'
    for address in ('hf://me', 'hf://me/a/b', 'hf://me/a@main', 'https://host/a', 'hf://../..//'):
        with pytest.raises(InputError, match=r'expected hf://OWNER/NAME, or a new folder'):
            repository(address)


def test_a_failure_is_one_line_without_the_token(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError('no route to host with hf_abcdefgh1234\nand more')

    monkeypatch.setattr('huggingface_hub.HfApi.create_repo', refuse)
    with pytest.raises(InputError) as caught:
        upload(tmp_path, 'me/a')
    assert str(caught.value) == 'hf://me/a: no route to host with hf_...'
