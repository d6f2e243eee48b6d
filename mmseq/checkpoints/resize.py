"""Weights of one geometry brought to another: channels of the images, size of the patches, grid of the positions."""

import torch
from torch import Tensor
from torch.nn import functional as F


def to_channels(kernel: Tensor, channels: int) -> Tensor:
    """Bring a convolution (O, C, h, w) to another number of input channels.

    The response to an image of equal channels stays the same: channels that the source has keep their kernels, further
    ones take the kernels' mean, and all are scaled so that the sum over the channels is kept. With fewer channels than
    the source has, every one takes an equal share.
    """
    had = kernel.shape[1]
    kernel = kernel.float()
    mean = kernel.mean(1, keepdim=True)
    kernels = [kernel] if channels > had else []
    return torch.cat([*kernels, mean.expand(-1, channels - had * len(kernels), -1, -1)], 1) * (had / channels)


def to_patch(kernel: Tensor, patch: int) -> Tensor:
    """Bring a patch embedding (O, C, h, w) to patches of ``patch`` x ``patch`` px by the pseudo-inverse of resizing.

    With B the matrix that resizes a patch bilinearly, the new kernel is the one whose answers to resized patches are
    nearest to the old kernel's answers to the patches themselves; to larger patches they are equal (FlexiViT,
    arXiv 2212.08013, section 3.4). Computed in float64.
    """
    height, width = kernel.shape[2:]
    unit = torch.eye(height * width, dtype=torch.float64).reshape(height * width, 1, height, width)
    # Rows are the resized unit patches: the transpose of B.
    resize = F.interpolate(unit, (patch, patch), mode='bilinear', align_corners=False).flatten(1)
    solved = kernel.double().flatten(2) @ torch.linalg.pinv(resize).T
    return solved.reshape(*kernel.shape[:2], patch, patch).to(kernel.dtype)


def to_grid(embedding: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bring a position embedding (1, H, W, C) to another grid, bicubically and stretched over the map.

    What the modules of the families do to the grid of every other image, and the authors' loaders to their weights.
    """
    resized = F.interpolate(embedding.float().permute(0, 3, 1, 2), grid, mode='bicubic', align_corners=False)
    return resized.permute(0, 2, 3, 1).contiguous().to(embedding.dtype)


def fit_geometry(
    tensors: dict[str, Tensor],
    own: dict[str, tuple[int, ...]],
    input_conv: str,
    position: str | None = None,
    native_patch: int | None = None,
) -> dict[str, str]:
    """Resize the stem and the position embedding to the shapes of a model, in place.

    Args:
        tensors: in our names.
        own: the model's shapes.
        input_conv: the convolution that sees the image, brought to another number of channels.
        position: the position embedding, if the model has one, brought from a square grid to another grid.
        native_patch: the patch size from which ``input_conv`` may be brought to the model's, None for no change.

    Returns:
        What was done, by key. A shape that differs in any other way is left for the comparison to refuse.
    """
    done: dict[str, str] = {}
    kernel, shape = tensors.get(input_conv), own.get(input_conv)
    if kernel is not None and shape and kernel.dim() == 4 and kernel.shape[0] == shape[0]:
        steps = []
        sizes = tuple(kernel.shape[2:])
        if sizes != shape[2:] and native_patch and sizes == (native_patch, native_patch) and shape[2] == shape[3]:
            kernel = to_patch(kernel, shape[2])
            steps.append(f'resized from patches of {native_patch} px to {shape[2]} px')
        if kernel.shape[1] != shape[1] and kernel.shape[2:] == shape[2:]:
            steps.append(f'inflated from {kernel.shape[1]} to {shape[1]} input channels')
            kernel = to_channels(kernel, shape[1])
        if steps:
            tensors[input_conv], done[input_conv] = kernel, ', '.join(steps)
    if position is None:
        return done
    embedding, shape = tensors.get(position), own.get(position)
    if embedding is not None and shape and embedding.dim() == 4 and embedding.shape != shape:
        height, width = embedding.shape[1:3]
        if height == width and (embedding.shape[0], embedding.shape[3]) == (shape[0], shape[3]):
            tensors[position] = to_grid(embedding, (shape[1], shape[2]))
            done[position] = f'resized from a grid of {height} x {width} to {shape[1]} x {shape[2]}'
    return done
