"""Jobs of a stand-in for Slurm, which starts real processes: preemption, the way back into the queue, arrays."""

import os
import signal
import subprocess
from pathlib import Path

from tests.faults.launched import HERE, ROOT, TOY, end, environment, start, wait_until
from tests.faults.toys import recorded
from tests.nursery import Nursery


def stand_in(folder: Path) -> dict[str, str]:
    (folder / 'slurm').mkdir()
    return dict(
        PATH=f'{HERE / "slurm"}{os.pathsep}{os.environ["PATH"]}', STAND_IN=str(folder / 'slurm'), GPUS_PER_NODE='0'
    )


def test_a_preempted_job_saves_and_comes_back(nursery: Nursery, tmp_path: Path) -> None:
    options = ['--no-data-check', '--cfg-options', 'train_cfg.max_iters=30', 'default_hooks.checkpoint.interval=1000']
    # What it has to be in the end.
    nursery.train(TOY, *options, '--work-dir', tmp_path / 'alone', processes=2, log=tmp_path / 'alone.log')
    log, work_dir = tmp_path / 'log', tmp_path / 'run'
    command = [ROOT / 'tools' / 'slurm_train.sh', 'debug', 'try', TOY, *options, 'model.seconds=0.1']
    process = start(*command, '--work-dir', work_dir, log=log, GPUS=2, **stand_in(tmp_path), **nursery.pythons)
    try:
        wait_until(lambda: len(recorded(work_dir)) >= 3, process, log)
        os.kill(int((tmp_path / 'slurm' / 'srun').read_text()), signal.SIGUSR1)
        assert process.wait(120) == 0, log.read_text()[-3000:]
    finally:
        end(process)
    output = log.read_text()
    assert 'exit with status 75' in output
    assert (tmp_path / 'slurm' / 'scontrol').read_text().splitlines().count('requeue 4711') == 1
    assert '--signal USR1@120' in (tmp_path / 'slurm' / 'sbatch').read_text()
    assert '--requeue' in (tmp_path / 'slurm' / 'sbatch').read_text()
    # No iteration twice, none left out, and the losses of the run that nobody stopped.
    for rank in range(2):
        assert recorded(work_dir, rank) == recorded(tmp_path / 'alone', rank)
    assert len(recorded(work_dir)) == 30


def test_in_the_middle_of_an_epoch_too(nursery: Nursery, tmp_path: Path) -> None:
    run = [HERE / 'configs' / 'toy_epochs.py', '--no-data-check', '--cfg-options', 'train_cfg.max_epochs=4']
    run += ['default_hooks.checkpoint.by_epoch=True', 'default_hooks.checkpoint.interval=1']
    nursery.train(*run, '--work-dir', tmp_path / 'alone', log=tmp_path / 'alone.log')
    pid = nursery.start(*run, 'model.seconds=0.1', '--work-dir', tmp_path / 'run', log=tmp_path / 'log')
    while len(recorded(tmp_path / 'run')) < 7:
        assert nursery.status(pid) is None, (tmp_path / 'log').read_text()[-2000:]
    os.kill(pid, signal.SIGUSR1)
    assert nursery.wait(pid) == 75
    (saved,) = (tmp_path / 'run').glob('iter_*.pth')
    nursery.train(*run, '--work-dir', tmp_path / 'run', '--resume', log=tmp_path / 'again')
    assert f'{saved.name}, which is whole' in (tmp_path / 'again').read_text()
    assert recorded(tmp_path / 'run') == recorded(tmp_path / 'alone')
    # The file of the interruption is gone once the epoch's own is there.
    names = [{path.name for path in (tmp_path / name).glob('*.pth')} for name in ('run', 'alone')]
    assert names[0] == names[1]


def test_an_array_trains_every_seed_in_its_own_folder(tmp_path: Path) -> None:
    probe = tmp_path / 'python'
    probe.write_text('#!/usr/bin/env bash\necho "$SLURM_PROCID $*" >>"$STAND_IN/started"\n')
    probe.chmod(0o755)
    script = [ROOT / 'tools' / 'slurm_train.sh', 'gpu', 'seeds', 'configs/a.py', '--work-dir=out', '--amp']
    extra = stand_in(tmp_path) | {'SEEDS': '0,3', 'GPUS': '2', 'PYTHON': str(probe), 'SBATCH_ARGS': '--time 1:00'}
    done = subprocess.run(['bash', *map(str, script)], env=environment() | extra, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '--partition gpu --job-name seeds --ntasks 2' in (tmp_path / 'slurm' / 'sbatch').read_text()
    started = sorted((tmp_path / 'slurm' / 'started').read_text().splitlines())
    assert started == [
        f'{rank} {ROOT}/tools/train.py configs/a.py --amp --seed {seed} --work-dir out/seed_{seed} --launcher slurm'
        for rank in (0, 1)
        for seed in (0, 3)
    ]


def test_a_failing_job_fails_and_does_not_come_back(tmp_path: Path) -> None:
    script = [ROOT / 'tools' / 'slurm_test.sh', 'gpu', 'eval', 'configs/a.py', 'a.pth', '--out', 'b']
    probe = tmp_path / 'python'
    probe.write_text('#!/usr/bin/env bash\necho "$*" >>"$STAND_IN/started"\nexit 3\n')
    probe.chmod(0o755)
    extra = stand_in(tmp_path) | {'GPUS': '1', 'PYTHON': str(probe)}
    done = subprocess.run(['bash', *map(str, script)], env=environment() | extra, capture_output=True, text=True)
    assert done.returncode == 3
    assert (tmp_path / 'slurm' / 'started').read_text() == (
        f'{ROOT}/tools/test.py configs/a.py a.pth --out b --launcher slurm\n'
    )
    assert 'requeue' not in (tmp_path / 'slurm' / 'scontrol').read_text()
