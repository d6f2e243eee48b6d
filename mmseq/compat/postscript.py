"""Images are never run: Pillow finds no Ghostscript in a process that uses mmseq.

Cause: Pillow tells formats by content and hands PostScript to Ghostscript, also where the file is called ``.png`` and
where upstream's pipelines load it (``imdecode_backend='pillow'``, which mmseg takes for label maps).
Could go once mmcv opens images with the formats that are meant.
"""

from types import ModuleType

from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Switch Ghostscript off as soon as Pillow loads its reader of PostScript. Calling it again does nothing."""
    when_imported('PIL.EpsImagePlugin', _switch_off)


def _switch_off(module: ModuleType) -> None:
    # Pillow's own switch: None looks for it, False has found none.
    vars(module)['gs_binary'] = False
