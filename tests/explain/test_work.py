"""What a message says of the config at fault."""

from mmengine.config import Config

from mmseq.compat import shipped_configs
from mmseq.explain.work import NO_CONFIG, inference


def test_a_config_is_named_as_it_was_asked_for(tmp_path):
    assert NO_CONFIG.say('text') == 'text'
    assert inference(Config()).say('text') == 'text'
    (tmp_path / 'mine.py').touch()
    mine = Config(dict(a=1), filename=str(tmp_path / 'mine.py'))
    assert inference(mine).say('text') == f'config {tmp_path}/mine.py: text'
    shipped = Config(dict(a=1), filename=str(shipped_configs.locate('mmseq::upernet_seq2d_s_ade20k')))
    assert inference(shipped).say('text') == 'config mmseq::upernet_seq2d_s_ade20k: text'
