"""The number of classes of own data in every head of a model."""

from typing import Any

from mmengine.config import Config

from mmseq.explain import classes
from mmseq.nested import walk

# Parts of a model that have no classes of the data.
OTHERS = ('backbone', 'data_preprocessor', 'train_cfg', 'test_cfg')


def set_classes(cfg: Config, count: int) -> None:
    """Let every head tell so many classes apart: their numbers, their weights in losses, and forms for two classes."""
    scope = cfg.get('default_scope') or 'mmengine'
    for name, node in heads(cfg.model):
        if takes_classes(node, name, scope):
            node['num_classes'] = count
        if 'num_things_classes' in node:
            node['num_things_classes'], node['num_stuff_classes'] = count, 0
        weigh(node, count)
        if count != 2 and node.get('out_channels') == 1 and 'num_classes' in node:
            use_softmax(node)


def heads(node: Any, name: str = 'model') -> list[tuple[str, dict[str, Any]]]:
    """Every dict of a model that may be a head, with its dotted key."""
    if isinstance(node, (list, tuple)):
        return [found for i, item in enumerate(node) for found in heads(item, f'{name}.{i}')]
    if not isinstance(node, dict):
        return []
    inner = [found for key, item in node.items() if key not in OTHERS for found in heads(item, f'{name}.{key}')]
    return [(name, node), *inner]


def takes_classes(node: dict[str, Any], name: str, scope: str) -> bool:
    """Whether a head has a number of classes, in the config or by its class's default; that of an RPN is always 1."""
    if 'rpn' in name:
        return False
    if 'num_classes' in node:
        return True
    cls = classes.find(node.get('type'), scope) if 'head' in name.split('.')[-1] else None
    return cls is not None and 'num_classes' in classes.arguments(cls)


def weigh(head: dict[str, Any], count: int) -> None:
    """Weights of single classes become equal; that of no object, the last one of softmax losses, stays."""
    loss = head.get('loss_cls')
    weights = loss.get('class_weight') if isinstance(loss, dict) else None
    if isinstance(loss, dict) and isinstance(weights, (list, tuple)):
        loss['class_weight'] = [1.0] * count + ([] if loss.get('use_sigmoid') else [weights[-1]])
    for one in walk(head.get('loss_decode')):
        # A list for other classes, or a file with one.
        one.pop('class_weight', None)


def use_softmax(head: dict[str, Any]) -> None:
    """A head with one map of probabilities, which is for two classes, gets a map for each class."""
    for key in ('out_channels', 'threshold'):
        head.pop(key, None)
    for loss in walk(head.get('loss_decode')):
        if loss.get('use_sigmoid'):
            loss['use_sigmoid'] = False
