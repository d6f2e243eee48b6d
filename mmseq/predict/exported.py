"""A file of ``mmseq export-onnx`` in the place of a model: a predictor asks it as it asks a model of torch.

model = ExportedModel(OnnxFile('work_dirs/mask_rcnn/model.onnx', 'openvino'))
(found,) = Predictor(model).predict(['street.jpg'])
"""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmseq.errors import InputError
from mmseq.runtimes import OnnxFile
from mmseq.saved_config import check_names, values


class ExportedModel:
    """What a predictor needs of a model, answered by a file; no layers are built.

    Args:
        file: of a whole model.

    Attributes:
        cfg: the config of the model and of its tests' pipeline.
        dataset_meta: classes and palette.

    Raises:
        InputError: the file holds a backbone or features alone, or a config that would run what is not ours.
    """

    def __init__(self, file: OnnxFile) -> None:
        if 'config' not in file.about or not {'scores', 'panoptic', 'labels'} & set(file.outputs):
            raise InputError(f'{file.path}: gives {", ".join(file.outputs)}; export the whole model with --part model')
        self.file, about = file, file.about
        # With the text given, mmengine does not look into the file for it.
        text = about['config']
        self.cfg = Config(values(text, file.path), cfg_text=text, filename=file.path)
        check_names(self.cfg, file.path)
        self.dataset_meta = {key: json.loads(about[key]) for key in ('classes', 'palette')}
        # For good, as with a model: pipelines are built later.
        init_default_scope(self.cfg.default_scope)

    def test_step(self, data: Mapping[str, Any]) -> list[Any]:
        """Upstream's samples with what the file finds, as a model's ``test_step`` gives them."""
        return [self._predict(*one) for one in zip(data['inputs'], data['data_samples'])]

    def _predict(self, loaded: Tensor, sample: Any) -> Any:
        found = self.file(self._arrays(loaded, sample.ori_shape[:2]))
        if 'logits' in found:
            return self._segmented(found['logits'], sample)
        answer = {name: torch.from_numpy(value) for name, value in found.items()}
        if 'scores' in answer:
            names = dict(boxes='bboxes', scores='scores', labels='labels', masks='masks')
            sample.pred_instances = InstanceData(**{names[key]: answer[key] for key in names if key in answer})
        if 'panoptic' in answer:
            sample.pred_panoptic_seg = PixelData(sem_seg=answer['panoptic'][None])
        return sample

    def _arrays(self, loaded: Tensor, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """The file's inputs of a picture as its pipeline loads it, (C, H, W), blue first."""
        about = self.file.about
        if 'picture' in self.file.inputs:
            picture = loaded.flip(0).permute(1, 2, 0).contiguous()
            given = dict(picture=picture.round().to(torch.uint8).numpy())
        else:
            images = (loaded.flip(0) if about['channels'] == 'RGB' else loaded).float()
            if about['values'] == 'normalised':
                mean, std = (torch.tensor(json.loads(about[key])).view(-1, 1, 1) for key in ('mean', 'std'))
                images = (images - mean) / std
            given = dict(images=images[None].contiguous().numpy())
        return given | (dict(size=np.array(size, np.int64)) if 'size' in self.file.inputs else {})

    def _segmented(self, logits: np.ndarray, sample: Any) -> Any:
        """Upstream's way from logits to labels of the picture's size."""
        from mmseg.models.segmentors.base import BaseSegmentor

        told = SimpleNamespace(**json.loads(self.file.about['segmentor']))
        told.decode_head = SimpleNamespace(threshold=told.threshold)
        (found,) = BaseSegmentor.postprocess_result(told, torch.from_numpy(logits), [sample])
        return found
