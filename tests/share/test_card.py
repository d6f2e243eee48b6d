"""What a model card says."""

import yaml

from mmseq.share.card import About, card

ABOUT = About(
    task='object-detection',
    model='FasterRCNN',
    backbone='Sequencer2D',
    parameters=1_250_000,
    classes=('cat', 'no: dog') + tuple(f'class {i}' for i in range(60)),
    metrics={'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5},
    sha256='ab' * 32,
    version='0.1.0',
)


def test_the_front_matter_is_yaml_that_the_hub_reads():
    text = card(ABOUT, 'me/cats', 'mit', 'prediction.png')
    front = yaml.safe_load(text.split('---\n')[1])
    assert (front['license'], front['pipeline_tag']) == ('mit', 'object-detection')
    assert front['tags'] == ['mmseq', 'object-detection', 'sequencer2d']
    (result,) = front['model-index'][0]['results']
    assert result['metrics'] == [dict(type='bbox_mAP', name='coco/bbox_mAP', value=0.25)]


def test_the_page_says_how_to_use_it():
    text = card(ABOUT, 'me/cats', None, None)
    assert "mmseq.load('hf://me/cats')" in text
    assert '| coco/bbox_mAP_50 | 0.5 |' in text
    assert 'and 22 more, in classes.txt' in text
    assert '| licence | unspecified |' in text
    assert '![' not in text
    assert 'It was not evaluated.' in card(About(**{**vars(ABOUT), 'metrics': {}}), 'cats', None, None)
