"""Weights, gradients and optimiser states divided among the processes, with whole ones in every checkpoint."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.distributed import broadcast
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from mmseq.engine.bare_model import bare_model
from mmseq.registry import HOOKS, MODEL_WRAPPERS

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@MODEL_WRAPPERS.register_module()
class FullyShardedModel(nn.Module):
    """torch's ``fully_shard`` behind the interface of mmengine's model wrappers.

    mmengine's own wrapper is over torch's first FSDP, which refuses the CPU. Each block of the backbone is gathered
    for its own forward and backward pass, the rest of the model for the whole pass. ``state_dict`` gives whole tensors
    and takes them, so checkpoints are those of any other run; every process has to call it.

    Args:
        module: a model that mmengine built; its weights are initialised here, and are those of the first process.
    """

    def __init__(self, module: BaseModel) -> None:
        super().__init__()
        module.init_weights()
        for tensor in (*module.parameters(), *module.buffers()):
            broadcast(tensor.detach(), src=0)
        mesh = init_device_mesh(next(module.parameters()).device.type, (get_world_size(),))
        for block in blocks_of(module.backbone):
            fully_shard(block, mesh=mesh)
        fully_shard(module, mesh=mesh)
        module.register_state_dict_post_hook(_gather)
        for part in module.modules():
            part.register_load_state_dict_pre_hook(_divide)
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One iteration of training."""
        return self.module.train_step(data, optim_wrapper)

    def val_step(self, data: Any) -> list[Any]:
        """Predictions."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> list[Any]:
        """Predictions."""
        return self.module.test_step(data)


def blocks_of(backbone: nn.Module) -> Iterator[nn.Module]:
    """The modules that are gathered for their own passes: a backbone's blocks; of upstream's backbones none.

    In the place of a container that stands for a block, which may not be called itself, come the modules in it. Those
    without modules of their own are left to the whole model.
    """
    blocks = getattr(type(backbone), 'blocks', None)
    pending: list[nn.Module] = list(blocks(backbone)) if callable(blocks) else []
    while pending:
        block = pending.pop(0)
        if isinstance(block, CONTAINERS):
            pending[:0] = block.children()
        elif any(True for _ in block.children()):
            yield block


@HOOKS.register_module()
class ShardedStateHook(Hook):
    """Whole states in checkpoints, gathered from the processes of ZeRO or FSDP, and divided again."""

    def before_run(self, runner: Runner) -> None:
        """Called after the optimiser was built and before a checkpoint is loaded."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return
        wrapper = runner.optim_wrapper
        wrapper.optimizer.register_state_dict_post_hook(_gather_states)
        wrapper.optimizer.register_load_state_dict_post_hook(_divide_states)
        if wrapper.clip_grad_kwargs:
            clip = wrapper.clip_func
            # The norm that is logged is that of all shares.
            wrapper.clip_func = lambda *args, **kwargs: _whole(clip(*args, **kwargs))
        if not is_main_process():
            # mmengine saves in the first process alone, which would wait for the others' shares.
            runner.save_checkpoint = partial(_give_shares, runner)


def _give_shares(runner: Runner, *args: Any, save_optimizer: bool = True, **kwargs: Any) -> None:
    """What a process other than the first does when a checkpoint is saved: the same gathering, in the same order."""
    bare_model(runner.model).state_dict()
    if save_optimizer:
        runner.optim_wrapper.state_dict()


def _whole(value: Any) -> Any:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _part(value: Any, like: Tensor) -> Any:
    """The share of this process of a whole tensor that goes with ``like``; anything else as it is."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or isinstance(value, DTensor):
        return value
    if value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _gather(module: nn.Module, state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    for key, value in state_dict.items():
        state_dict[key] = _whole(value)


def _divide(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        if prefix + name in state_dict:
            state_dict[prefix + name] = _part(state_dict[prefix + name], parameter)


def _gather_states(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
    # With ZeRO, what another process holds is None.
    states = {
        i: state and {key: _whole(value) for key, value in state.items()} for i, state in state_dict['state'].items()
    }
    return {**state_dict, 'state': states}


@torch.no_grad()
def _divide_states(optimizer: Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        for key, value in (state or {}).items():
            state[key] = _part(value, parameter)
