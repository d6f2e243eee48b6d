"""mmseq: linear-cost backbones for dense prediction on OpenMMLab.

Importing the package places the hooks of :mod:`mmseq.compat` and nothing else; mmdet and mmseg are loaded when a
config first needs them.
"""

from mmseq import compat

__version__ = '0.1.0'

compat.install()
