"""Say what of an installation works, what does not, and what to do about it: `python -m mmseq.doctor`."""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mmseq.compat import versions
from mmseq.errors import InputError, first_line
from mmseq.files import write_json

_GIB = 2**30
_EXAMPLE = """\
examples:
  mmseq doctor
  mmseq doctor --work-dir work_dirs --json doctor.json
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `todo` is empty unless something is to be done."""

    status: Literal['PASS', 'FAIL', 'INFO']
    item: str
    detail: str
    todo: str = ''


def check_python() -> Iterator[Finding]:
    """Compare the interpreter with the range that the stack works with."""
    bad = versions.python_problem()
    have = '.'.join(map(str, sys.version_info[:3]))
    yield Finding('FAIL', 'python', have, bad) if bad else Finding('PASS', 'python', have)


def check_packages() -> Iterator[Finding]:
    """Compare each package with its row of the table, then import it: a package that is there may still be broken."""
    for requirement in filter(versions.is_needed, versions.REQUIREMENTS):
        detail = ', '.join(map(' '.join, versions.installed(requirement))) or 'absent'
        bad = versions.problem(requirement)
        if bad:
            yield Finding('FAIL', requirement.module, detail, bad)
            continue
        try:
            with warnings.catch_warnings():
                # pkg_resources warns of its end, which is what the bound on setuptools is for.
                warnings.simplefilter('ignore')
                importlib.import_module(requirement.module)
        except versions.BROKEN_IMPORT as error:
            reason = f'{detail}, import fails: {_reason(error)}'
            yield Finding('FAIL', requirement.module, reason, _reinstall(requirement))
        else:
            yield Finding('PASS', requirement.module, detail)


def _reinstall(requirement: versions.Requirement) -> str:
    return f'pip install --force-reinstall "{versions.advice(requirement)[1]}"'


def check_line() -> Iterator[Finding]:
    """Say whether OpenMMLab's packages are of one line."""
    bad = versions.line_problem()
    yield Finding('FAIL', 'OpenMMLab', 'of two lines', bad) if bad else Finding('PASS', 'OpenMMLab', 'of one line')


def check_torch_pair() -> Iterator[Finding]:
    """Run an operator of torchvision: only builds of the same kind find each other's."""
    bad = versions.torchvision_problem()
    if bad:
        yield Finding('FAIL', 'torch + torchvision', 'do not work together', bad)
    else:
        yield Finding('PASS', 'torch + torchvision', 'torchvision::nms runs')
    tags = versions.build_tags()
    if tags and not bad:
        detail = f'torch is of build {tags[0] or "default"!r}, torchvision of {tags[1] or "default"!r}'
        yield Finding('INFO', 'torch builds', detail, 'if operators fail on the GPU, install both from one index')


def check_operators() -> Iterator[Finding]:
    """Name what answers for mmcv's compiled operators, and run nms and RoIAlign on the CPU, backward too."""
    provider = importlib.import_module('mmseq.compat.mmcv_ops').provider()
    names = {'compiled': 'compiled mmcv', 'stand-in': 'torchvision stand-in of mmseq'}
    ops = importlib.import_module('mmcv.ops')
    yield Finding('PASS', 'mmcv operators', names[provider])
    torch = importlib.import_module('torch')
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.1], [5.0, 5.0, 8.0, 8.0]])
    kept = ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist()
    image = torch.ones(1, 1, 8, 8, requires_grad=True)
    pooled = ops.roi_align(image, torch.tensor([[0.0, 1.0, 1.0, 5.0, 5.0]]), 2, 1.0, 2, 'avg', True)
    pooled.sum().backward()
    # A constant image stays constant, and each of the four outputs spreads a gradient of one.
    good = kept == [0, 2] and torch.allclose(pooled, torch.ones(1, 1, 2, 2)) and abs(image.grad.sum() - 4) < 1e-4
    if good:
        yield Finding('PASS', 'operator self test', 'nms; roi_align forward and backward')
    else:
        mmcv = next(requirement for requirement in versions.OPENMMLAB if requirement.module == 'mmcv')
        yield Finding('FAIL', 'operator self test', 'wrong results', _reinstall(mmcv))


def check_checkpoint() -> Iterator[Finding]:
    """Write a checkpoint and read it again."""
    torch = importlib.import_module('torch')
    storage = importlib.import_module('mmseq.checkpoints.storage')
    weights = {'weight': torch.arange(6.0).reshape(2, 3)}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ('.pth', '.safetensors'):
            path = Path(folder, f'doctor{suffix}')
            storage.save_file(weights, path)
            if not torch.equal(storage.load_file(path)['weight'], weights['weight']):
                yield Finding('FAIL', 'checkpoint round trip', f'{suffix}: other values come back', 'report this')
                return
    yield Finding('PASS', 'checkpoint round trip', '.pth and .safetensors')


def check_gpu() -> Iterator[Finding]:
    """Name the GPUs and say whether they know bf16."""
    torch = importlib.import_module('torch')
    if not torch.cuda.is_available():
        yield Finding('INFO', 'gpu', 'none: CPU training only')
        return
    for index in range(torch.cuda.device_count()):
        with torch.cuda.device(index):
            bf16 = 'bf16' if torch.cuda.is_bf16_supported() else 'no bf16: train in fp16 or fp32'
        yield Finding('PASS', f'gpu {index}', f'{torch.cuda.get_device_name(index)}, {bf16}')


def check_bfloat16() -> Iterator[Finding]:
    """Say whether this processor multiplies bfloat16."""
    problem = importlib.import_module('mmseq.compat.bfloat16').bfloat16_problem('cpu')
    if problem:
        yield Finding('INFO', 'bfloat16', f'on the CPU: {problem}; --amp trains in float32 there')
    else:
        yield Finding('PASS', 'bfloat16', 'on the CPU: faster than float32')


def check_triton() -> Iterator[Finding]:
    """Say whether the Triton kernels can be compiled."""
    try:
        triton = importlib.import_module('triton')
    except versions.BROKEN_IMPORT as error:
        yield Finding('INFO', 'triton', f'absent ({_reason(error)}): slower kernels are taken')
    else:
        yield Finding('PASS', 'triton', triton.__version__)


def check_distributed() -> Iterator[Finding]:
    """Name the backends for training in several processes."""
    distributed = importlib.import_module('torch.distributed')
    if not distributed.is_available():
        yield Finding('INFO', 'distributed', 'not in this build of torch: one process only')
        return
    have = [name for name in ('gloo', 'nccl') if getattr(distributed, f'is_{name}_available')()]
    yield Finding('PASS' if have else 'INFO', 'distributed', ', '.join(have) or 'no backend: one process only')


def check_data() -> Iterator[Finding]:
    """Say where the configs look for data sets."""
    root = os.environ.get('MMSEQ_DATA', 'data')
    source = 'MMSEQ_DATA' if 'MMSEQ_DATA' in os.environ else 'default'
    if Path(root).is_dir():
        yield Finding('INFO', 'data root', f'{root} ({source})')
    else:
        yield Finding('INFO', 'data root', f'{root} ({source}): no such directory', 'set MMSEQ_DATA to your data sets')


def check_disk(work_dir: str) -> Iterator[Finding]:
    """Compare the free space where checkpoints go with what a few of them need."""
    folder = Path(work_dir).absolute()
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / _GIB
    detail = f'{free:.1f} GiB free in {work_dir}'
    if not os.access(folder, os.W_OK):
        yield Finding('FAIL', 'disk', f'{folder} is not writable', 'choose another --work-dir')
    elif free < 1:
        yield Finding('FAIL', 'disk', detail, 'free some space or choose another --work-dir: checkpoints take 0.5 GiB')
    else:
        yield Finding('PASS', 'disk', detail)


def examine(work_dir: str) -> list[Finding]:
    """Run all checks; one that cannot run is a finding too and does not stop the others."""
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ('python', check_python),
        ('packages', check_packages),
        ('OpenMMLab', check_line),
        ('torch + torchvision', check_torch_pair),
        ('mmcv operators', check_operators),
        ('checkpoint round trip', check_checkpoint),
        ('gpu', check_gpu),
        ('bfloat16', check_bfloat16),
        ('triton', check_triton),
        ('distributed', check_distributed),
        ('data root', check_data),
        ('disk', lambda: check_disk(work_dir)),
    )
    findings = []
    for item, check in checks:
        try:
            # One by one: what a check found before it failed still counts.
            for finding in check():
                findings.append(finding)
        except versions.BROKEN_IMPORT as error:
            findings.append(
                Finding('FAIL', item, f'cannot run: {_reason(error)}', 'fix the first FAIL, then try again')
            )
    return findings


def _reason(error: BaseException) -> str:
    return f'{type(error).__name__}: {first_line(error)}'


def report(findings: list[Finding]) -> str:
    """Lay the findings out in aligned columns, with what to do behind ``->``."""
    item = max(len(finding.item) for finding in findings)
    detail = min(60, max(len(finding.detail) for finding in findings))
    lines = []
    for finding in findings:
        line = f'{finding.status}  {finding.item:{item}}  {finding.detail:{detail}}'
        lines.append(f'{line}  -> {finding.todo}' if finding.todo else line.rstrip())
    return '\n'.join(lines)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='mmseq doctor',
        description='Check this installation of mmseq: versions, operators, checkpoints, GPU. The exit status is 1\n'
        'if an item is FAIL. Where the package cannot be imported, use python -m mmseq.doctor.',
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--work-dir', default='work_dirs', help='where training will write (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE', help='write the findings to this file too')
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print the report and return the exit status: 1 if anything failed, 2 if the JSON file cannot be written."""
    options = build_parser().parse_args(argv)
    findings = examine(options.work_dir)
    print(report(findings))
    failed = sum(finding.status == 'FAIL' for finding in findings)
    print(f'{failed} of {len(findings)} checks failed' if failed else 'all checks passed')
    if options.json:
        try:
            _write_json(findings, Path(options.json))
        except InputError as error:
            print(error, file=sys.stderr)
            return 2
    return int(failed > 0)


def _write_json(findings: list[Finding], path: Path) -> None:
    try:
        write_json(path, [asdict(finding) for finding in findings])
    except OSError as error:
        raise InputError(f'{path}: cannot be written ({error.strerror}); choose another --json file') from None


if __name__ == '__main__':
    sys.exit(main())
