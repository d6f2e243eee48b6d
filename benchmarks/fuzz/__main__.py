"""Convert thousands of damaged and hostile checkpoints and write what became of them (docs/weights.md).

    python -m benchmarks.fuzz            # or: make fuzz
    python -m benchmarks.fuzz --count 200 --seed 3

Exit status 1 if one of them crashed the converter, ran code, left an output behind or gave wrong tensors.
"""

import argparse
import json
import platform
import sys
import tempfile
import warnings
from pathlib import Path

import torch

from benchmarks.fuzz.checkpoints import fuzz


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=4000, help='number of files')
    parser.add_argument('--seed', type=int, default=0, help='another seed makes other files')
    parser.add_argument('--out', type=Path, default=Path(__file__).parents[1] / 'results' / 'fuzz_checkpoints.json')
    return parser.parse_args()


def main() -> int:
    args = parse()
    # torch remarks on odd pickles, which is all that these are.
    warnings.simplefilter('ignore')
    with tempfile.TemporaryDirectory() as folder:
        for done, result in fuzz(Path(folder), args.count, args.seed):
            if done % max(1, args.count // 20) == 0:
                left = result.seconds / done * (args.count - done)
                print(f'{done}/{args.count} files, {len(result.bad)} bad, {left:.0f} s left', flush=True)
    ends = {name: dict(sorted(counts.items())) for name, counts in sorted(result.ends.items())}
    report = {
        'command': f'python -m benchmarks.fuzz --count {args.count} --seed {args.seed}',
        'files': args.count,
        'bad': result.bad,
        'ends': ends,
        'seconds': round(result.seconds, 1),
        'peak_memory_mib': result.peak_mib,
        'python': platform.python_version(),
        'torch': torch.__version__,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=1) + '\n')
    print('\n'.join([*result.bad, f'{len(result.bad)} bad of {args.count}; written to {args.out}']))
    return int(bool(result.bad))


if __name__ == '__main__':
    sys.exit(main())
