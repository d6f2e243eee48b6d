"""AP and mIoU of exported files beside their models', in float32 and in fewer bits, with the time of an image.

Each run is exported with its weights and evaluated on the test data of its config: by torch, and by the file in
onnxruntime and in OpenVINO. The same file goes through onnxruntime's dynamic quantisation to int8 and its conversion to
float16; OpenVINO also runs it in bfloat16. Times are of the first images, all forms in turn.

    MMSEQ_DATA=work_dirs/demo/data python -m benchmarks.export_accuracy work_dirs/demo/*_shapes
    python -m benchmarks.export_accuracy --table         # the table of docs/export.md alone
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from onnx.shape_inference import InferenceError
from tqdm import tqdm

from benchmarks.export import put_table
from benchmarks.export_heads import versions
from benchmarks.index.model_tables import markdown
from mmseq.cli import run
from mmseq.errors import InputError, first_line
from mmseq.export import export, part_of
from mmseq.files import write_json
from mmseq.measure.timing import alternate, machine, ratio, spread
from mmseq.model.named import find_model
from mmseq.model.trained import load_trained
from mmseq.predict.exported import ExportedModel
from mmseq.runtimes import OPENERS, OnnxFile, open_with_openvino

RESULT = Path(__file__).parent / 'results' / 'export_accuracy.json'
METRICS = {'coco/bbox_mAP': 'AP', 'coco/segm_mAP': 'AP of masks', 'mIoU': 'mIoU'}
# Of makers of forms, and of runtimes that cannot open or run what they made.
FAULTS = (InputError, ValueError, RuntimeError, InferenceError)


def as_int8(source: Path, path: Path) -> None:
    """onnxruntime's dynamic quantisation: weights beforehand, activations by the range of each call."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, path, per_channel=True, weight_type=QuantType.QInt8)


def as_int8_products(source: Path, path: Path) -> None:
    """The same of products of matrices and recurrent layers alone: convolutions stay."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, path, ['MatMul', 'LSTM'], per_channel=True, weight_type=QuantType.QInt8)


def as_float16(source: Path, path: Path) -> None:
    """onnxruntime's conversion; inputs and outputs stay as they are."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), path)


OPENERS['openvino, bf16'] = partial(open_with_openvino, precision='bf16')
# What a form is made by, and what runs it.
FORMS: Mapping[str, tuple[Callable[[Path, Path], None] | None, str]] = {
    'onnxruntime': (None, 'onnxruntime'),
    'OpenVINO': (None, 'openvino'),
    'OpenVINO, bfloat16': (None, 'openvino, bf16'),
    'onnxruntime, int8': (as_int8, 'onnxruntime'),
    'onnxruntime, int8 without convolutions': (as_int8_products, 'onnxruntime'),
    'onnxruntime, float16': (as_float16, 'onnxruntime'),
}


def evaluate(cfg: Any, model: Any) -> dict[str, float]:
    """The metrics of a config's test data."""
    loader = Runner.build_dataloader(cfg.test_dataloader)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = loader.dataset.metainfo
    with torch.no_grad():
        for data in loader:
            evaluator.process(data_samples=model.test_step(data), data_batch=data)
    found = evaluator.evaluate(len(loader.dataset))
    return {name: float(found[name]) for name in METRICS if name in found}


def open_form(name: str, source: Path, folder: Path) -> ExportedModel:
    """A file in a form of ``FORMS``."""
    make, runtime = FORMS[name]
    path = source if make is None else folder / f'{name}.onnx'
    if make is not None:
        make(source, path)
    return ExportedModel(OnnxFile(path, runtime, torch.get_num_threads()))


def measure(run_name: str, folder: Path) -> dict[str, Any]:
    """A run in all forms; of those that cannot be made or run, why."""
    named, _ = find_model([run_name])
    cfg, model = load_trained(named.config, named.trained, work_dir=str(folder), device='cpu')
    report = export(part_of(model, cfg), folder / 'model.onnx')
    assert report.agrees, report.problem
    subjects: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}
    for form in tqdm(('torch', *FORMS), unit='form', disable=None):
        try:
            subjects[form] = model if form == 'torch' else open_form(form, report.path, folder)
            rows[form] = dict(metrics=evaluate(cfg, subjects[form]))
        except FAULTS as error:
            rows[form] = dict(failed=first_line(error).replace(f'{folder}/', ''))
    times = time_all(cfg, {form: subjects[form] for form, row in rows.items() if 'metrics' in row})
    for form, values in times.items():
        made = folder / f'{form}.onnx'
        rows[form] |= dict(
            seconds=spread(values),
            speedup=ratio(times['torch'], values),
            bytes=(made if made.is_file() else report.path).stat().st_size,
        )
    return dict(run=Path(run_name).name, forms=rows)


def time_all(cfg: Any, subjects: Mapping[str, Any]) -> dict[str, list[float]]:
    """Seconds of an image of the test data, all in turn."""
    batch = next(iter(Runner.build_dataloader(cfg.test_dataloader)))
    one = {key: values[:1] for key, values in batch.items()}

    def call(subject: Any) -> Callable[[], object]:
        # Copies, since models write into samples.
        return lambda: subject.test_step(deepcopy(one))

    with torch.no_grad():
        return alternate({form: call(subject) for form, subject in subjects.items()}, torch.device('cpu'), rounds=7)


def table(results: Mapping[str, Any]) -> str:
    """A row per run and form."""
    rows = []
    for config, found in results['runs'].items():
        for form, row in found['forms'].items():
            if 'failed' in row:
                rows.append((f'`{config}`', form, row['failed'].split('Error: ')[-1].rstrip('.)'), '', '', ''))
                continue
            metrics = ', '.join(f'{METRICS[name]} {value:.4g}' for name, value in row['metrics'].items())
            time = f'{1000 * row["seconds"]["median"]:.0f} ms'
            size = '' if form == 'torch' else f'{row["bytes"] / 1e6:.1f} MB'
            rows.append((f'`{config}`', form, metrics, time, f'{row["speedup"]["median"]:.2f}', size))
    about = results['machine']
    where = f'{about["device"]}, threads: {about["threads"]}, torch {about["torch"]}'
    head = ('model', 'run by', 'on the validation half of the shapes', 'an image', "of torch's speed", 'file')
    return markdown(head, rows) + f'\n*{where}: `benchmarks/results/{RESULT.name}`*\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='*', help='work dirs')
    parser.add_argument('--table', action='store_true', help='measure nothing')
    args = parser.parse_args()
    results = json.loads(RESULT.read_text()) if RESULT.is_file() else dict(runs={})
    for name in [] if args.table else args.runs:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(name, Path(folder))
        results['runs'][found.pop('run')] = found
        results['machine'] = machine(torch.device('cpu')) | versions()
        write_json(RESULT, results)
    print(put_table('accuracy', table(results)))
    return 0


if __name__ == '__main__':
    run(main)
