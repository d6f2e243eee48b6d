"""Export a trained model to ONNX, torch.export or TorchScript; see --help."""

from mmseq.cli import run
from mmseq.cli.export_onnx import main

if __name__ == '__main__':
    run(main)
