"""A stand-in for `mmcv._ext`, the compiled half of mmcv, where it is absent.

Cause: OpenMMLab publishes no wheels of mmcv for current torch. `mmcv-lite` installs everywhere but has no `mmcv._ext`,
and `mmcv.ops`, hence `mmdet.models`, cannot be imported without it. The operators in this package have the calling
convention of the compiled ones (buffers that the caller allocates are filled in place) and their mathematics, on CPU
and CUDA, through torchvision's operators or plain torch. They also take bfloat16, which the compiled ones refuse, and
they compute in float32 at least. Operators that are not here raise NotImplementedError by name when called. Under
`torch.use_deterministic_algorithms(True)` torch and torchvision refuse some of them on CUDA, where the compiled ones
are not deterministic either but do not say so.

Condition that ends it: wheels of mmcv with compiled operators for the torch and Python that mmseq supports.
"""

from importlib.util import find_spec
from types import ModuleType

from mmseq.compat.import_hooks import STAND_IN, stand_in

__all__ = ['install', 'provider']


def install() -> None:
    """Let `import mmcv._ext` find the stand-in where no compiled extension is found.

    Costs nothing until `mmcv._ext` is imported: neither mmcv nor torch is loaded here. Idempotent; harmless where mmcv
    is not installed.
    """
    stand_in('mmcv._ext', _fill)


def _fill(module: ModuleType) -> None:
    # Here and not above: this is the first moment at which torch and torchvision are needed.
    from mmseq.compat.mmcv_ops.missing import missing_operator
    from mmseq.compat.mmcv_ops.operators import OPERATORS

    vars(module).update(OPERATORS)
    vars(module)['__getattr__'] = missing_operator


def provider() -> str | None:
    """Who answers for `mmcv._ext`: 'compiled', 'stand-in', or None where mmcv or both are absent.

    Imports mmcv (not its operators).
    """
    try:
        spec = find_spec('mmcv._ext')
    except ModuleNotFoundError:
        return None
    if spec is None:
        return None
    return 'stand-in' if spec.origin == STAND_IN else 'compiled'
