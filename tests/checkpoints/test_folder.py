"""Which checkpoint of a folder is taken."""

import pytest
import torch

from mmseq.checkpoints.fetch import locate
from mmseq.checkpoints.folder import choose_checkpoint
from mmseq.errors import InputError


def save(path, iteration=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict={}, meta=dict(iter=iteration)), path)


def test_the_best_else_the_last_else_published_weights(tmp_path):
    with pytest.raises(InputError, match=r'holds no checkpoint: looked for best_\*\.pth, iter_\*\.pth'):
        locate(tmp_path)
    (tmp_path / 'model.safetensors').write_bytes(b'')
    assert choose_checkpoint(tmp_path) == (tmp_path / 'model.safetensors', 'its weights')
    # Of a run that was stopped in its epoch 3.
    for name, iteration in (('epoch_2.pth', 200), ('epoch_1.pth', 100), ('iter_250.pth', 250), ('other.pth', 9999)):
        save(tmp_path / name, iteration)
    assert choose_checkpoint(tmp_path) == (tmp_path / 'iter_250.pth', 'its last checkpoint')
    save(tmp_path / 'epoch_10.pth', 1000)
    assert locate(str(tmp_path)) == tmp_path / 'epoch_10.pth'
    save(tmp_path / 'best_coco_bbox_mAP_epoch_9.pth')
    assert choose_checkpoint(tmp_path) == (tmp_path / 'best_coco_bbox_mAP_epoch_9.pth', 'its best checkpoint')
    save(tmp_path / 'best_coco_segm_mAP_epoch_10.pth')
    found = tmp_path / 'best_coco_segm_mAP_epoch_10.pth', 'the latest of its 2 best ones'
    assert choose_checkpoint(tmp_path) == found


def test_a_folder_that_was_copied_has_its_own_checkpoints(tmp_path):
    run, original = tmp_path / 'run', tmp_path / 'original'
    save(original / 'iter_20.pth')
    save(run / 'iter_10.pth')
    # As mmengine notes it.
    (run / 'last_checkpoint').write_text(str(original / 'iter_20.pth'))
    assert locate(run) == run / 'iter_10.pth'
