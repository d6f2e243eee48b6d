"""Peak memory of sliding-window segmentation against the size of the picture: ours and upstream's segmentor.

Each measurement is a process of its own. "peak" is the whole process (Python, libraries, weights, the picture), "added"
is what inference added to what stood when it began. Windows of 512 px, stride 341.

example: python benchmarks/sliding_memory.py --config configs/upernet_seq2d_s_ade20k.py --sides 512 2048
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

SEGMENTORS = ('mmseq.SlidingEncoderDecoder', 'EncoderDecoder')
RESULT = Path(__file__).parent / 'results' / 'sliding_memory.json'


def measure(config: str, segmentor: str, side: int) -> dict[str, float]:
    """Segment one random picture in this process, on a GPU if there is one; megabytes and seconds."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmseg.structures import SegDataSample

    from mmseq.config import replace_synchronised_norms
    from mmseq.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    replace_synchronised_norms(cfg)
    cfg.model.type = segmentor
    cfg.model.test_cfg = dict(mode='slide', crop_size=(512, 512), stride=(341, 341))
    cfg.model.backbone.init_cfg = None
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).to(device).eval()
    picture = torch.randint(0, 256, (3, side, side), dtype=torch.uint8)
    sample = SegDataSample(metainfo=dict(ori_shape=(side, side), img_shape=(side, side)))
    before = peak(device)
    start = time.perf_counter()
    with torch.no_grad():
        model.test_step(dict(inputs=[picture], data_samples=[sample]))
    seconds = time.perf_counter() - start
    after = peak(device)
    return dict(
        segmentor=segmentor,
        side=side,
        device=device,
        peak=round(after),
        added=round(after - before),
        seconds=round(seconds, 1),
    )


def peak(device: str) -> float:
    """Megabytes: of the process, or of the GPU's tensors."""
    if device == 'cuda':
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='configs/upernet_seq2d_s_ade20k.py', help='any for segmentation')
    parser.add_argument('--sides', nargs='+', type=int, default=[512, 2048], help='of the square pictures, px')
    parser.add_argument('--segmentors', nargs='+', default=SEGMENTORS, choices=SEGMENTORS)
    parser.add_argument('--one', nargs=2, metavar=('SEGMENTOR', 'SIDE'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.config, args.one[0], int(args.one[1]))))
        return
    found = json.loads(RESULT.read_text())['results'] if RESULT.exists() else []
    for segmentor in args.segmentors:
        for side in args.sides:
            command = [sys.executable, __file__, '--config', args.config, '--one', segmentor, str(side)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            new = dict(config=args.config, **json.loads(done.stdout.splitlines()[-1]))
            same = ('config', 'segmentor', 'side', 'device')
            found = [old for old in found if any(old[key] != new[key] for key in same)] + [new]
            print('{segmentor:28} {side:5} px  peak {peak:6} MB  added {added:6} MB  {seconds:6.1f} s'.format(**new))
    RESULT.write_text(json.dumps(dict(results=found), indent=1) + '\n')


if __name__ == '__main__':
    main()
