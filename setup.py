"""Packaging of mmseq. Exact versions that were tested together stand in constraints.txt."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
version = re.search(r"__version__ = '(.+)'", (here / 'mmseq' / '__init__.py').read_text())[1]


class BuildWithConfigs(build_py):
    """Puts the configs into the package, where OpenMMLab's packages have theirs; an editable one reads them here."""

    def run(self):
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, 'mmseq', '.mim', 'configs')
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(here / 'configs', target, ignore=shutil.ignore_patterns('__pycache__'))
            # What `mmseq configs` lists, where OpenMMLab's mim looks for it.
            shutil.copy(here / 'model-index.yml', target.with_name('model-index.yml'))


setup(
    name='mmseq',
    version=version,
    description='Linear-cost backbones for dense prediction on OpenMMLab',
    long_description=(here / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmseq', 'mmseq.*']),
    # Said so, setuptools makes an editable installation a line on Python's path. Its default, an import hook, is asked
    # after the path: in the folder that holds a clone named mmseq, Python takes that for a namespace package instead.
    package_dir={'': '.'},
    package_data={
        'mmseq': ['py.typed', 'zoo/*'],
        'mmseq.checkpoints': ['weights.json'],
        'mmseq.runs.report': ['assets/*'],
    },
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['mmseq = mmseq.cli.main:command']},
    # mmengine and mmcv call pkgutil.find_loader, which Python 3.14 dropped.
    python_requires='>=3.10,<3.14',
    install_requires=[
        # 2.6 is the first whose torch.load is safe by default.
        'torch>=2.6',
        'torchvision',
        'pycocotools>=2.0.7',
        'safetensors>=0.4',
        'filelock',
        'packaging',
        'pyyaml',
        # For hf:// and timm:// addresses.
        'huggingface_hub>=0.23',
        'tqdm',
        # What a run shows on a terminal; mmengine brings it, too.
        'rich',
        # completion of the mmseq command in shells
        'shtab',
        'numpy',
        'scipy',
        'pillow',
        'opencv-python',
        'matplotlib',
    ],
    extras_require={
        # An extra, so that installing mmseq beside somebody's own (compiled) mmcv does not overwrite it. The releases
        # are upstream's last; all are pure wheels.
        'mm': [
            'mmengine==0.10.7',
            'mmcv-lite==2.1.0',
            'mmdet==3.3.0',
            'mmsegmentation==1.2.2',
            # mmengine imports pkg_resources, which setuptools 81 dropped.
            'setuptools<81',
            # mmsegmentation imports both without declaring them.
            'ftfy',
            'regex',
        ],
        # The maintained line, instead of `mm`. Its mmcv is source alone, and pip builds a pure wheel of it.
        'onedl': [
            'onedl-mmengine>=0.10.8,<0.11',
            'onedl-mmcv>=2.3,<2.4',
            'onedl-mmdetection>=3.4.7,<4',
            'onedl-mmsegmentation>=1.3,<2',
        ],
        # COCO's evaluation in a fraction of pycocotools' time. One release: it is young, its promise is every bit of
        # pycocotools' arrays, and this is the one that tests compare with them.
        # The data check reads annotation files with orjson.
        'fast': ['ultrafast-pycocotools==0.1.14', 'orjson'],
        # Its models as backbones (`mmseq.Timm`), ours in its registry (`mmseq.timm`), and the comparison of
        # `mmseq convert --verify`.
        'timm': ['timm>=1.0.31'],
        # Data and metric of LVIS, which mmdet reads and evaluates with it.
        'lvis': ['lvis==0.5.3'],
        # TIFF images of more than three channels or 16 bits.
        'tiff': ['tifffile'],
        # mmseq demo-app; gradio 6.31 brings starlette and refuses pillow 13.
        'app': ['gradio>=6', 'starlette', 'pillow<13'],
        # Results for its annotators, trackers and counters.
        'supervision': ['supervision>=0.25'],
        # mmseq export-onnx
        'onnx': ['onnx', 'onnx-ir', 'onnxruntime', 'onnxscript'],
        # mmseq train --log-to
        'log': ['tensorboard', 'wandb>=0.31'],
        # The documentation site.
        'docs': ['sphinx', 'furo', 'myst-parser', 'sphinx-copybutton', 'sphinx-inline-tabs'],
        # playwright drives an installed Chromium; tests of pages skip where there is none.
        'dev': [
            'pytest>=8',
            'pytest-timeout',
            'pytest-xdist',
            'playwright',
            # The judge of imported boxes.
            'supervision',
            'ruff',
            # One version: each release of a type checker finds something else.
            'mypy==2.4.1',
            'types-pyyaml',
            'types-tqdm',
            'pre-commit',
            # They run the notebooks of docs.
            'nbclient',
            'ipykernel',
            'timm>=1.0.31',
            'lvis==0.5.3',
        ],
    },
)
