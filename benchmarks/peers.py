"""What is compared: ours, timm's, and the authors' from a folder that the caller names."""

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from precision import tf32
from torch import Tensor, nn

from mmseq import ops
from mmseq.backbones import Sequencer2D, ShiftViT, VisionLSTM
from mmseq.checkpoints import load_backbone
from mmseq.errors import InputError
from mmseq.layers.recurrent2d import flat_weights


@dataclass(frozen=True)
class Contender:
    """A model that gives the normalised last feature map of square images.

    Args:
        build: from the side of the image in pixels, which some models must know when they are built.
        multiple: of which the side must be one.
        mirrors: our model that does the same with the same weights; it is held to this before anything is reported.
        folder: below ``--peers``, for the authors' code.
        gpu_only: needs a GPU.
    """

    build: Callable[[int, Path | None], nn.Module]
    multiple: int
    mirrors: str | None = None
    folder: str | None = None
    gpu_only: bool = False


class Last(nn.Module):
    """The last level of one of our backbones: (B, C, H, W), on a backend of its operators by name, if any."""

    def __init__(self, backbone: nn.Module, backend: str | None = None) -> None:
        super().__init__()
        self.backbone, self.backend = backbone, backend

    def forward(self, images: Tensor) -> Tensor:
        with ops.use(self.backend) if self.backend else nullcontext():
            return self.backbone(images)[-1]


class Features(nn.Module):
    """The feature map of a model of timm's: (B, C, H, W), or (B, S, C) of a vision transformer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.forward_features(images)


class AuthorsShiftViT(nn.Module):
    """The authors' model up to its last norm: (B, C, H, W). Their own forward pools that."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        x = self.model.patch_embed(images)
        for layer in self.model.layers:
            x = layer(x)
        return self.model.norm(x)


def imported(name: str, path: Path) -> ModuleType:
    """A module, or a package by its __init__.py, from a file.

    Raises:
        InputError: the file is absent, or needs a package that is.
    """
    if name in sys.modules:
        return sys.modules[name]
    if not path.is_file():
        raise InputError(f'--peers: {path} is absent; see --help for what the folder holds')
    package = [str(path.parent)] if path.name == '__init__.py' else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=package)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        del sys.modules[name]
        raise InputError(f'--peers: {path} needs {error.name}: pip install {error.name}') from error
    return module


def timm_model(name: str, **options: object) -> Callable[[int, Path | None], nn.Module]:
    def build(side: int, peers: Path | None) -> nn.Module:
        import timm

        sized = dict(img_size=side) if options.get('sized') else {}
        given = {key: value for key, value in options.items() if key != 'sized'}
        return Features(timm.create_model(name, pretrained=False, num_classes=0, **given, **sized))

    return build


def authors_shiftvit(side: int, peers: Path | None) -> nn.Module:
    module = imported('peer_shiftvit', peers / 'SPACH' / 'models' / 'shiftvit.py')
    # The row "Shift-T" of their models/shiftvit.py.
    model = module.ShiftViT(embed_dim=96, depths=(6, 8, 18, 6), mlp_ratio=2, drop_path_rate=0, n_div=12, num_classes=0)
    return AuthorsShiftViT(model)


def authors_vil(side: int, peers: Path | None) -> nn.Module:
    module = imported('peer_vision_lstm', peers / 'vision-lstm' / 'vision_lstm' / '__init__.py')
    # The row "vil2-tiny" of their hubconf.py, for features.
    return module.VisionLSTM2(
        dim=192, depth=12, input_shape=(3, side, side), output_shape=None, mode='features', pooling='to_image'
    )


CONTENDERS: dict[str, Contender] = {
    'seq2d_s': Contender(lambda side, _: Last(Sequencer2D('s', out_indices=(3,))), 14),
    'shiftvit_t': Contender(lambda side, _: Last(ShiftViT('t', out_indices=(3,))), 32),
    'vil_t': Contender(lambda side, _: Last(VisionLSTM(vil_arch(side), out_indices=(3,))), 16),
    'seq2d_s_triton': Contender(
        lambda side, _: Last(Sequencer2D('s', out_indices=(3,)), 'triton'), 14, 'seq2d_s', gpu_only=True
    ),
    'shiftvit_t_triton': Contender(
        lambda side, _: Last(ShiftViT('t', out_indices=(3,)), 'triton'), 32, 'shiftvit_t', gpu_only=True
    ),
    'vil_t_triton': Contender(
        lambda side, _: Last(VisionLSTM(vil_arch(side), out_indices=(3,)), 'triton'), 16, 'vil_t', gpu_only=True
    ),
    'timm_sequencer2d_s': Contender(timm_model('sequencer2d_s'), 14, 'seq2d_s'),
    'timm_swin_t': Contender(timm_model('swin_tiny_patch4_window7_224', sized=True), 224),
    'timm_swin_s': Contender(timm_model('swin_small_patch4_window7_224', sized=True), 224),
    'timm_convnext_t': Contender(timm_model('convnext_tiny'), 32),
    'timm_vit_s': Contender(timm_model('vit_small_patch16_224', sized=True), 16),
    'authors_shiftvit_t': Contender(authors_shiftvit, 32, 'shiftvit_t', 'SPACH'),
    'authors_vil_t': Contender(authors_vil, 16, 'vil_t', 'vision-lstm'),
}
"""By the name that the results use; those with ``mirrors`` do what ours does."""


def vil_arch(side: int) -> dict[str, object]:
    """ViL-T with a position embedding of the image's grid, as the authors build it."""
    return dict(dim=192, grid=(side // 16, side // 16))


def build(name: str, side: int, peers: Path | None, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A contender with random weights.

    Raises:
        InputError: an unknown name, or the authors' code is not to be had.
    """
    if name not in CONTENDERS:
        raise InputError(f'unknown model {name!r}: choose of {", ".join(CONTENDERS)}')
    contender = CONTENDERS[name]
    if contender.folder and peers is None:
        raise InputError(f"{name} needs --peers DIR with the authors' repository in DIR/{contender.folder}")
    torch.manual_seed(0)
    return contender.build(side, peers).to(device, dtype)


def difference(name: str, side: int, peers: Path | None, device: torch.device) -> float:
    """How far our model with a peer's weights is from that peer, in float32, relative to the peer's norm."""
    peer = build(name, side, peers, device, torch.float32).eval()
    mine = build(CONTENDERS[name].mirrors, side, None, device, torch.float32).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'weights.pth'
        weights = next((getattr(peer, name) for name in ('model', 'backbone') if hasattr(peer, name)), peer)
        torch.save(weights.state_dict(), path)
        load_backbone(mine.backbone, path)
    images = torch.randn(2, 3, side, side, device=device)
    with torch.no_grad(), tf32(False):
        expected, got = peer(images), mine(images)
    if expected.shape != got.shape:
        # timm's Sequencer2D leaves channels last.
        expected = expected.permute(0, 3, 1, 2)
    return float((got - expected).norm() / expected.norm())


def lstm_peer(groups: tuple[Tensor, list[Tensor], list[Tensor]]) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """The same work with two nn.LSTM modules, the way Sequencer2D's authors and timm wire them, and its parameters."""
    x, *weights = groups
    lstms = []
    for group in weights:
        lstm = nn.LSTM(x.shape[-1], group[1].shape[1], bidirectional=True, batch_first=True).to(x.device, x.dtype)
        with torch.no_grad():
            for mine, given in zip(flat_weights(lstm), group):
                mine.copy_(given)
        lstm.flatten_parameters()
        lstms.append(lstm)

    def scans() -> Tensor:
        batch, height, width, channels = x.shape
        columns = lstms[0](x.permute(0, 2, 1, 3).reshape(batch * width, height, channels))[0]
        columns = columns.view(batch, width, height, -1).permute(0, 2, 1, 3)
        rows = lstms[1](x.reshape(batch * height, width, channels))[0].view(batch, height, width, -1)
        return torch.cat([columns, rows], dim=-1)

    return scans, [x, *lstms[0].parameters(), *lstms[1].parameters()]
