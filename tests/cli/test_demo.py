"""What each model of the demo begins with; the rest is `make demo`, which trains for minutes and checks its figures."""

import pytest

from mmseq.checkpoints import zoo
from mmseq.cli import demo
from tests.zoo_cards import ship


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """The commands of a demo in which nothing is run, by their options."""
    found = []

    def command(arguments, environment, title):
        found.append([word for word in arguments if word.startswith(('model.', 'train_cfg.'))])
        folder = tmp_path / 'demo' / arguments[1].removeprefix('mmseq::')
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'last_checkpoint').write_text(f'{folder.name}.pth')
        metrics = '{"mIoU": 80, "aAcc": 90, "coco/bbox_mAP": 0.5, "coco/segm_mAP": 0.4}'
        (folder / 'metrics.json').write_text(f'{{"metrics": {metrics}}}')

    monkeypatch.setattr(demo, 'command', command)
    monkeypatch.setattr('mmseq.pictures.contact_sheet.contact_sheet', lambda *_: None)
    monkeypatch.setattr(zoo, 'FOLDER', tmp_path / 'zoo')

    def run():
        found.clear()
        assert demo.main(['--work-dir', str(tmp_path / 'demo')]) == 0
        return found

    return run


def options(checkpoint, length):
    return [length, 'model.backbone.init_cfg.type=Pretrained', f'model.backbone.init_cfg.checkpoint={checkpoint}']


def test_the_segmentor_begins_with_weights_that_ship_and_the_detector_with_the_segmentors(begun, tmp_path):
    detector = options('upernet_seq2d_nano_shapes.pth', 'train_cfg.max_epochs=5')
    assert begun() == [[], [], [], detector, []]
    ship(tmp_path / 'zoo')
    assert begun() == [[], options('mmseq://sequencer2d_nano_some', 'train_cfg.max_iters=800'), [], detector, []]
