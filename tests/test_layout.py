"""Tests stand where what they test stands, and every module of some size has its tests."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / 'mmseq'
# Folders of what is no module of mmseq: the configs, the pages, the benchmarks, what a training survives, and every
# model on a device that is not the CPU.
OTHERS = ('configs', 'docs', 'benchmarks', 'faults', 'device')
# Of the whole: runs from end to end, the installation, and rules for every file.
ACROSS = (
    'test_training.py',
    'engine/own/test_training.py',
    'test_adapters.py',
    'test_alignment.py',
    'test_imports.py',
    'test_house_rules.py',
    'test_layout.py',
    'test_setup.py',
    'test_workflow.py',
)
# Smaller modules are tested through those that use them.
LINES = 40
# The tests of modules that have no file or folder of tests by their name: each is tested through what uses it.
ELSEWHERE = {
    'checkpoints/test_storage.py': ['checkpoints/records.py'],
    'backbones/test_timm.py': ['backbones/timm_structure.py'],
    'classify/test_image_classifier.py': ['classify/preprocessor.py'],
    'classify/test_pretrain.py': ['cli/pretrain.py'],
    'cli/test_benchmark.py': ['measure/throughput.py', 'measure/throughput_plot.py'],
    'cli/test_commands.py': ['cli/main.py', 'cli/completion.py', 'cli/configs.py'],
    'cli/test_convert.py': ['cli/average.py'],
    'cli/test_demo_app.py': ['predict/page/page.py', 'predict/page/style.py'],
    'cli/test_erf.py': ['measure/receptive_field_plot.py'],
    'cli/test_infer.py': ['predict/folder.py'],
    'cli/test_plot_logs.py': ['runs/plot_runs.py'],
    'compat/test_checkpoint_io.py': ['compat/checkpoint_codec.py'],
    'configs/test_configs.py': ['registry.py'],
    'side_by_side/test_comparing.py': [
        'cli/compare_backbones.py',
        'side_by_side/table.py',
        'side_by_side/plot.py',
    ],
    'datasets/own/test_fitting.py': ['datasets/own/geometry.py'],
    'datasets/own/test_importing.py': [
        'datasets/own/preparing.py',
        'datasets/own/source.py',
        'datasets/own/summary.py',
        'datasets/own/writing.py',
    ],
    'datasets/own/test_label_maps.py': ['datasets/own/colours.py', 'datasets/own/pairs.py'],
    'datasets/own/test_recognise.py': ['datasets/own/text.py'],
    'datasets/test_shapes.py': ['cli/make_shapes.py', 'datasets/shapes_scene.py'],
    'datasets/test_tolerant.py': ['engine/hooks/corrupt_data.py'],
    'engine/hooks/test_bad_numbers.py': ['engine/diagnosis.py', 'engine/snapshots.py'],
    'engine/hooks/test_random_streams.py': ['engine/loops.py'],
    'engine/hooks/test_strict_load.py': ['checkpoints/compare.py'],
    'engine/robustness/test_measure.py': ['cli/robustness.py'],
    'engine/own/test_changes.py': ['engine/own/task.py'],
    'engine/test_launch.py': ['cli/train.py'],
    'engine/test_ignored_pixels.py': ['engine/config_classes.py'],
    'engine/test_recipe.py': ['engine/hooks/model_form.py', 'engine/hooks/recipe.py'],
    'engine/test_seeds.py': ['cli/seeds.py'],
    'engine/test_terminal.py': ['engine/hooks/terminal.py'],
    'engine/test_trial.py': ['engine/hooks/trial.py'],
    'faults/test_checkpoints.py': ['engine/hooks/checkpoint.py', 'engine/resume.py'],
    'faults/test_nodes.py': ['engine/store_watch.py', 'engine/torchrun.py'],
    'faults/test_slurm.py': ['engine/hooks/preemption.py'],
    'measure/test_complexity.py': ['cli/flops.py', 'model/build.py'],
    'pictures/test_curves.py': ['pictures/contact_sheet.py'],
    'predict/test_prediction_files.py': ['predict/coco_results.py'],
    'runs/report/test_page.py': ['runs/report/build.py'],
    'runs/report/test_pictures.py': ['pictures/scaling.py'],
    'runs/test_robustness.py': ['runs/robustness_plot.py'],
    'runs/test_confusion.py': ['runs/confusion_plot.py'],
    'share/test_folder.py': ['cli/publish.py'],
    'test_training.py': ['cli/test.py'],
    'weights/test_conversion.py': ['checkpoints/shiftvit.py', 'checkpoints/vision_lstm.py'],
    'weights/test_convert.py': ['weights/fit.py', 'weights/opened.py', 'weights/weights_file.py'],
}
LISTED = [module for modules in ELSEWHERE.values() for module in modules]
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob('test_*.py'))
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob('*.py') if path.name != '__init__.py')


def own_tests(module: Path) -> Path | None:
    """The file of tests that is named like a module, or like a package that the module is in."""
    for path in (module.with_suffix(''), *module.parents[:-1]):
        if (found := path.with_name(f'test_{path.name}.py')) in FILES:
            return found
    return None


@pytest.mark.parametrize('path', FILES, ids=str)
def test_tests_are_named_like_what_they_test(path):
    module = PACKAGE / path.parent / path.stem.removeprefix('test_')
    mirrored = module.with_suffix('.py').exists() or (module / '__init__.py').exists()
    assert mirrored != (path.parts[0] in OTHERS or str(path) in ACROSS)


def test_larger_modules_have_tests_of_their_name_or_are_listed():
    assert len(MODULES) > 100
    large = [path for path in MODULES if len((PACKAGE / path).read_text().splitlines()) > LINES]
    assert [str(path) for path in large if own_tests(path) is None and str(path) not in LISTED] == []


def test_the_list_holds_what_has_no_tests_of_its_name_and_nothing_else():
    assert len(LISTED) == len(set(LISTED))
    assert [name for name in LISTED if Path(name) not in MODULES or own_tests(Path(name))] == []
    assert [name for name in ELSEWHERE if Path(name) not in FILES] == []
