"""LVIS's evaluation finds the name that numpy dropped; numpy does not get it back."""

from types import ModuleType

import numpy as np

from mmseq.compat.lvis_numpy import _patch


def test_the_evaluation_sees_float():
    module = ModuleType('lvis.eval')
    module.np = np
    exec('def total(x): return np.cumsum(x).astype(dtype=np.float)', vars(module))
    _patch(module)
    assert module.total(np.ones(2, bool)).dtype == np.float64
    assert not hasattr(np, 'float')
