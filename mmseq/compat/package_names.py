"""``_base_ = 'mmseg::...'`` with the maintained line of OpenMMLab, whose distributions are called ``onedl-*``.

Cause: onedl-mmengine 0.10.12 still looks for a distribution `mmsegmentation` before it reads a config of mmseg.
Could go once it looks for ``onedl-mmsegmentation``, or for the module.
"""

from types import ModuleType

from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Correct mmengine's table of names when it is imported; nothing is imported here."""
    when_imported('mmengine.config.utils', _correct)


def _correct(module: ModuleType) -> None:
    # Here and not above: importlib.metadata costs half of what `import mmseq` may take.
    from mmseq.compat.versions import MAINTAINED, OPENMMLAB, installed

    for requirement in OPENMMLAB:
        for name, _ in installed(requirement):
            if name.startswith(MAINTAINED) and requirement.module in module.MODULE2PACKAGE:
                module.MODULE2PACKAGE[requirement.module] = name
