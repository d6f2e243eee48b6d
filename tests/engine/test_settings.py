"""From a config to the config of a run: each edit by itself, and what every run gets whatever its config says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from mmseq.checkpoints.fetch import web_cache
from mmseq.config import load_config, read_model_config
from mmseq.engine import launch, settings
from mmseq.engine.hooks import BadNumbersHook
from mmseq.engine.settings import ASKED, PROMISED, PROMISED_HOOKS, Settings, edit, evaluators, resume_of
from mmseq.errors import InputError

ROOT = Path(__file__).parents[2]
SEG = str(ROOT / 'configs' / 'upernet_seq2d_nano_shapes.py')
SECRET = 'https://me:geheim@h/a.pth?token=geheim'
DET = str(ROOT / 'configs' / 'mask_rcnn_seq2d_nano_shapes.py')


@HOOKS.register_module(force=True)
class CalmBadNumbers(BadNumbersHook):
    """A hook of a user's own, after one of ours."""


def train(**options: Any) -> Settings:
    return Settings('training', 'mine.py', **options)


def test(**options: Any) -> Settings:
    return Settings('evaluation', 'mine.py', **options)


test.__test__ = False


def config(**changes: Any) -> Config:
    cfg = Config(
        dict(
            model=dict(type='X', backbone=dict(type='Y', init_cfg=dict(checkpoint='far.pth'))),
            train_dataloader=dict(batch_size=2, dataset=dict(type='Z')),
            train_cfg=dict(by_epoch=False, max_iters=4),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=8e-5)),
            work_dir='out',
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


def asked(given: Settings, **changes: Any) -> Config:
    """What becomes of a config."""
    return edit(config(**changes), ASKED, given)


def types(cfg: Config) -> list[str]:
    return [hook['type'] for hook in cfg.custom_hooks]


def notes(cfg: Config) -> str:
    (found,) = (hook.notes for hook in cfg.custom_hooks if hook['type'] == 'mmseq.RecipeHook')
    return '\n'.join(found)


def test_each_edit_is_listed_once_and_says_what_it_does() -> None:
    edits = (*ASKED, *PROMISED)
    assert len(set(edits)) == len(edits) > 20
    for one in edits:
        assert one.__doc__
        assert '\n' not in one.__doc__


@pytest.mark.parametrize(
    ('given', 'changes', 'message'),
    [
        (train(auto_scale_lr=True), {}, 'needs auto_scale_lr'),
        (train(ema=1.5), {}, '--ema 1.5'),
        (train(), {'compile': True}, 'config mine.py: compile= .*give --compile'),
        (train(), {'optim_wrapper': None}, '^config mine.py: has no optim_wrapper, which a training needs'),
        (train(), {'train_cfg': None, 'train_dataloader': None}, 'has no train_dataloader and no train_cfg, which'),
        (train(shard='fsdp', ema=0.1, processes=2), {}, 'use --shard zero'),
        (train(log_images=-1), {}, '--log-images -1'),
        (train(load_from='gone.pth'), {}, 'checkpoint gone.pth: no such file'),
        (train(load_from='gone.pth', resume='auto'), {}, '--load-from begins a run and --resume goes on with one'),
        (test(load_from='gone.pth'), {}, '^checkpoint gone.pth: no such file'),
        (test(show_dir='nowhere', processes=2), {}, 'leave --gpus out'),
        (test(tta=True), {}, 'config mine.py: --tta needs tta_model'),
        (test(out='pictures'), {'test_evaluator': dict(type='Score')}, '--out: Score cannot write'),
    ],
)
def test_what_is_refused(given: Settings, changes: dict, message: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        asked(given, **changes)


def test_options_become_hooks_behind_those_of_the_config() -> None:
    given = train(ema=0.1, compile_backbone=True, channels_last=True, shard='zero', deterministic=True, processes=2)
    cfg = asked(given, custom_hooks=[dict(type='First')])
    own = ['mmseq.ShardedStateHook', 'EMAHook', 'mmseq.CompileHook', 'mmseq.ChannelsLastHook']
    deterministic = ['mmseq.DeterminismHook', 'mmseq.FinalWeightsHook']
    assert types(cfg) == ['First', 'mmseq.RecipeHook', *deterministic, *own]
    assert cfg.optim_wrapper.optimizer == dict(
        type='ZeroRedundancyOptimizer', optimizer_type='AdamW', lr=8e-5, fused=True
    )
    assert cfg.randomness == dict(seed=0, deterministic=True)


def test_a_config_that_a_run_left_behind_keeps_no_notes_of_it() -> None:
    cfg = asked(train(), custom_hooks=[dict(type='mmseq.RecipeHook', notes=['of an earlier run'])])
    assert 'earlier' not in notes(cfg)
    assert 'effective batch 2' in notes(cfg)


@pytest.mark.parametrize(
    ('given', 'own', 'seed'), [(None, None, 0), (None, 7, 7), (5, 7, 5), (0, 7, 0)], ids=['none', 'own', 'both', 'zero']
)
def test_there_is_always_a_seed(given: int | None, own: int | None, seed: int) -> None:
    cfg = asked(train(seed=given), **({} if own is None else {'randomness': dict(seed=own, diff_rank_seed=True)}))
    assert cfg.randomness.seed == seed
    assert ('names a seed: it is 0' in notes(cfg)) == (given is None and own is None)
    assert cfg.randomness.get('diff_rank_seed') == (None if own is None else True)


def test_what_a_config_says_of_resuming_is_left_to_the_launcher() -> None:
    assert resume_of(config()) is None
    assert resume_of(config(load_from='a.pth')) is None
    assert resume_of(config(resume=True)) == 'auto'
    cfg = config(resume=True, load_from='a.pth')
    assert resume_of(cfg) == 'a.pth'
    cfg = edit(cfg, ASKED, train(resume='auto'))
    assert (cfg.resume, cfg.load_from) == (False, None)


def test_nothing_is_downloaded_for_weights_that_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / 'a.pth').touch()
    cfg = asked(test(load_from=str(tmp_path / 'a.pth')))
    assert cfg.load_from == str(tmp_path / 'a.pth')
    assert cfg.model.backbone.init_cfg is None


def test_processes_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = edit(read_model_config(SEG, {}), ASKED, train(processes=2, launcher='pytorch'))
    assert cfg.launcher == 'pytorch'
    assert cfg.env_cfg.dist_cfg.backend == 'gloo'
    assert cfg.model_wrapper_cfg.device_ids is None
    assert 'mmseq.SharedStatisticsHook' in types(cfg)
    assert 'SyncBN' not in str(cfg.model)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages of loggers, whether or not they are."""
    monkeypatch.setattr(settings, 'find_spec', lambda name: SimpleNamespace(origin=f'{name}/__init__.py'))


def test_loggers_stand_beside_what_there_is(installed: None) -> None:
    given = train(loggers=['wandb', 'tensorboard', 'wandb'])
    cfg = asked(given, visualizer=dict(type='X', vis_backends=[dict(type='LocalVisBackend')]))
    own = ['mmseq.WandbBackend', 'mmseq.TensorboardBackend']
    assert [backend.type for backend in cfg.visualizer.vis_backends] == ['LocalVisBackend', *own]
    # The same in a config without a visualizer.
    assert asked(given).visualizer.vis_backends == cfg.visualizer.vis_backends


@pytest.mark.parametrize(
    ('names', 'images', 'drawn'),
    [([], None, 0), ([], 3, 3), (['wandb'], None, 8), (['wandb'], 0, 0), (['wandb'], 2, 2)],
)
def test_how_many_pictures(installed: None, names: list[str], images: int | None, drawn: int) -> None:
    cfg = asked(train(loggers=names, log_images=images))
    assert [hook['images'] for hook in cfg.custom_hooks if 'images' in hook] == ([drawn] if drawn else [])


def test_a_logger_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for absent in (None, SimpleNamespace(origin=None)):
        monkeypatch.setattr(settings, 'find_spec', lambda name, absent=absent: absent)
        with pytest.raises(InputError, match=r"--log-to wandb: .*pip install 'mmseq\[log\]'"):
            asked(train(loggers=['wandb']))


def test_masks_are_left_out_of_test_time_augmentation() -> None:
    cfg = edit(read_model_config(DET, {}), ASKED, test(tta=True))
    assert 'mmseq.BoxesOnlyHook' in types(cfg)
    assert [list(evaluator.metric) for evaluator in evaluators(cfg)] == [['bbox']]
    assert cfg.model.module.type == 'MaskRCNN'


@pytest.mark.parametrize('own', [None, [], [dict(type='EMAHook')]], ids=['none', 'empty', 'own'])
@pytest.mark.parametrize('given', [train(), test()], ids=['training', 'evaluation'])
def test_every_run_has_what_promises_rest_on(given: Settings, own: list | None) -> None:
    cfg = edit(asked(given, custom_hooks=own), PROMISED, given)
    names = [hook['type'] for hook in own or []]
    assert types(cfg) == [*PROMISED_HOOKS, *names, 'mmseq.RecipeHook']
    assert 'stands for' not in notes(cfg)
    assert cfg.train_cfg == (dict(type='mmseq.IterLoop', max_iters=4) if given.what == 'training' else cfg.train_cfg)
    assert cfg.default_hooks.checkpoint.type == 'mmseq.SafeCheckpointHook'


@pytest.mark.parametrize('kind', ['mmseq.BadNumbersHook', 'CalmBadNumbers', BadNumbersHook])
def test_a_hook_of_the_same_class_takes_the_place_and_is_named(kind: Any) -> None:
    own = [dict(type='EMAHook'), dict(type=kind, stop_after=9), dict(type='mmseq.CurvesHook')]
    cfg = edit(asked(train(), custom_hooks=own), PROMISED, train())
    place = PROMISED_HOOKS.index('mmseq.BadNumbersHook')
    names = [*PROMISED_HOOKS[:place], kind, *PROMISED_HOOKS[place + 1 :]]
    assert types(cfg) == [*names, 'EMAHook', 'mmseq.RecipeHook']
    (line,) = (line for line in notes(cfg).splitlines() if 'stands for' in line)
    assert "'stop_after': 9} stands for mmseq.BadNumbersHook" in line


@pytest.mark.parametrize('kind', ['CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook, 'Mine'])
def test_the_checkpoint_hook_is_ours_or_named(kind: Any) -> None:
    cfg = edit(asked(train(), default_hooks=dict(checkpoint=dict(type=kind, interval=3))), PROMISED, train())
    ours = cfg.default_hooks.checkpoint == dict(type='mmseq.SafeCheckpointHook', interval=3)
    assert ours == (kind != 'Mine')
    assert ('it decides whether a kill can destroy a checkpoint' in notes(cfg)) == (kind == 'Mine')


def test_shipped_configs_give_upstream_s_tools_the_same_hooks() -> None:
    cfg = Config.fromfile(ROOT / 'configs/_base_/runtime/common.py')
    assert cfg.custom_hooks == [dict(type=name) for name in PROMISED_HOOKS]


def test_partial_loading_needs_a_checkpoint_to_begin_with(tmp_path: Path) -> None:
    given = train(allow_partial=('x*',))
    with pytest.raises(InputError, match='--allow-partial needs --load-from'):
        edit(asked(given), PROMISED, given)
    (tmp_path / 'a.pth').touch()
    given = train(allow_partial=('x*',), load_from=str(tmp_path / 'a.pth'))
    cfg = edit(asked(given, custom_hooks=[dict(type='EMAHook'), dict(type='mmseq.StrictLoadHook')]), PROMISED, given)
    assert cfg.custom_hooks[0] == dict(type='mmseq.StrictLoadHook', allow_partial=['x*'])


def test_inference_reads_a_config_without_the_edits_of_a_run() -> None:
    cfg = load_config(SEG, {'train_cfg.max_iters': 7})
    assert (cfg.work_dir, cfg.train_cfg.max_iters) == ('work_dirs/upernet_seq2d_nano_shapes', 7)
    assert 'SyncBN' not in str(cfg.model)
    assert 'mmseq.RecipeHook' not in types(cfg)


def test_messages_speak_of_the_config_as_it_is_asked_for(tmp_path: Path) -> None:
    mine = tmp_path / 'mine.py'
    mine.write_text(f"_base_ = '{SEG}'\ncustom_hooks = [dict(type='EMAHook')]\n")
    given = Settings('training', str(mine), work_dir=str(tmp_path / 'out'), amp='bfloat16')
    cfg, work = launch.edited(read_model_config(str(mine), {}), given)
    assert cfg.train_dataloader.dataset.type == 'mmseq.TolerantDataset'
    assert work.get('train_dataloader.dataset.type') == 'BaseSegDataset'
    assert work.cfg.custom_hooks[0].type == 'EMAHook'
    assert work.get('optim_wrapper.type') == 'mmseq.Bfloat16OptimWrapper'
    assert work.get('work_dir') == str(tmp_path / 'out')


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is kept of ``https://me:geheim@h/a.pth?token=geheim``."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    path = web_cache(SECRET)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'x')
    return path


def test_every_key_takes_addresses_and_keeps_no_secrets(fetched: Path) -> None:
    assert asked(train(), load_from=SECRET).load_from == str(fetched)
    assert asked(train(load_from=SECRET)).load_from == str(fetched)
    cfg = asked(train(), **{'model.backbone.init_cfg.checkpoint': SECRET})
    assert cfg.model.backbone.init_cfg.checkpoint == str(fetched)
    assert 'geheim' not in cfg.pretty_text


@pytest.mark.parametrize('name', ['http://127.0.0.1:1/a.pth', 'ftp://127.0.0.1/a.pth'])
def test_insecure_addresses_are_refused_under_every_key(name: str) -> None:
    for given, changes in ((train(), dict(load_from=name)), (train(load_from=name), {})):
        with pytest.raises(InputError, match=f'checkpoint {name}: .* is not known'):
            asked(given, **changes)
    with pytest.raises(InputError, match=f'checkpoint {name}: .* is not known'):
        launch.train(SEG, resume=name)


def test_weights_that_are_overwritten_are_not_fetched(fetched: Path) -> None:
    cfg = asked(train(load_from=SECRET), **{'model.init_cfg': dict(type='Pretrained', checkpoint='far.pth')})
    assert cfg.model.init_cfg is cfg.model.backbone.init_cfg is None


@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper', 'mmseq.Bfloat16OptimWrapper'])
def test_amp_takes_the_place_of_the_configs_own(kind: str) -> None:
    own = {'optim_wrapper.type': kind, 'optim_wrapper.clip_grad': dict(max_norm=1.0)}
    if 'Amp' in kind:
        own.update({'optim_wrapper.dtype': 'float16', 'optim_wrapper.loss_scale': 'dynamic'})
    given = Settings('training', SEG, amp='bfloat16')
    cfg = settings.use_amp(settings.begin_notes(read_model_config(SEG, own), given), given)
    assert cfg.optim_wrapper.type == 'mmseq.Bfloat16OptimWrapper'
    assert set(cfg.optim_wrapper) & {'dtype', 'loss_scale', 'clip_grad'} == {'clip_grad'}
    assert ('--amp bfloat16 stands for' in str(cfg.custom_hooks)) == ('Amp' in kind)


def test_amp_without_force_takes_an_earlier_force_back() -> None:
    given = Settings('training', SEG, amp='force')
    cfg = settings.use_amp(settings.begin_notes(read_model_config(SEG, {}), given), given)
    assert cfg.optim_wrapper.force
    cfg = settings.use_amp(cfg, Settings('training', SEG, amp='bfloat16'))
    assert 'force' not in cfg.optim_wrapper


@pytest.mark.parametrize(
    'optimizer, fused',
    [
        (dict(type='AdamW', lr=1e-3), True),
        (dict(type=torch.optim.AdamW, lr=1e-3), True),
        (dict(type='AdamW', lr=1e-3, fused=False), False),
        (dict(type='AdamW', lr=1e-3, foreach=True), None),
        (dict(type='SGD', lr=1e-3), None),
    ],
)
def test_adamw_is_fused_unless_the_config_says_how_it_runs(optimizer: dict[str, Any], fused: bool | None) -> None:
    assert asked(train(), **{'optim_wrapper.optimizer': optimizer}).optim_wrapper.optimizer.get('fused') is fused


def test_amp_replaces_no_wrapper_that_it_does_not_know() -> None:
    cfg = read_model_config(SEG, {'optim_wrapper.type': 'ApexOptimWrapper'})
    with pytest.raises(InputError, match=r'--amp would take the place of optim_wrapper\.type=ApexOptimWrapper'):
        settings.use_amp(cfg, Settings('training', SEG, amp='bfloat16'))
