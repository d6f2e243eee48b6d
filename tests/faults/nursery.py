"""Trainings by the dozen: a process that has imported everything forks one for every run.

As a script it answers lines of JSON; `Nursery` starts that script and is what tests and scripts use. A run is the
command line `tools/train.py` in a process of its own, which can be killed as any other.
"""

import functools
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# mmseq comes first: it is what makes the others importable.
PRELOADED = (
    'mmseq.engine.launch',
    'mmseq.cli.train',
    'mmseq.engine.hooks',
    'mmseq.backbones',
    'mmdet.models',
    'mmdet.evaluation',
    'mmseg.models',
    'mmseg.evaluation',
    'toys',
)


class Nursery:
    """Starts runs and waits for them.

    Args:
        environment: what the runs find beside this process's environment.
    """

    def __init__(self, **environment: str) -> None:
        paths = [str(ROOT), str(HERE), os.environ.get('PYTHONPATH', '')]
        environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join(paths), **environment)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: Any, log: Path, **environment: Any) -> int:
        """Start `tools/train.py` with arguments; its output goes behind `log`. Returns the process id."""
        texts = {key: str(value) for key, value in environment.items()}
        return self._ask({'start': [str(argument) for argument in arguments], 'log': str(log), 'environment': texts})

    def start_all(self, processes: int, *arguments: Any, log: Path, **environment: Any) -> list[int]:
        """Start a distributed run over gloo, as torchrun does; the logs are `log`.0, `log`.1 and so on."""
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        common = dict(WORLD_SIZE=processes, MASTER_ADDR='127.0.0.1', MASTER_PORT=port, **environment)
        arguments = (*arguments, '--launcher', 'pytorch')
        return [
            self.start(*arguments, log=log.with_name(f'{log.name}.{rank}'), RANK=rank, LOCAL_RANK=rank, **common)
            for rank in range(processes)
        ]

    def status(self, pid: int) -> int | None:
        """Exit status of a run, the negative signal if one ended it, None if it is running."""
        return self._ask({'status': pid})

    def wait(self, pid: int, seconds: float = 120) -> int:
        """Wait for the end of a run; one that takes longer is killed and is an error."""
        end = time.monotonic() + seconds
        while (status := self.status(pid)) is None:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                raise TimeoutError(f'run {pid} was still running after {seconds} s')
            time.sleep(0.02)
        return status

    def train(self, *arguments: Any, log: Path, processes: int = 1, seconds: float = 120, **environment: Any) -> None:
        """Run to a good end, or raise with the end of the output."""
        if processes == 1:
            pids, logs = [self.start(*arguments, log=log, **environment)], [log]
        else:
            pids = self.start_all(processes, *arguments, log=log, **environment)
            logs = [log.with_name(f'{log.name}.{rank}') for rank in range(processes)]
        statuses = [self.wait(pid, seconds) for pid in pids]
        if any(statuses):
            texts = '\n'.join(path.read_text()[-3000:] for path in logs)
            raise RuntimeError(f'exit statuses {statuses}\n{texts}')

    def close(self) -> None:
        """End the nursery; runs that are left are killed."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, question: dict) -> Any:
        self._process.stdin.write(json.dumps(question) + '\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError('the nursery has died; its output says why')
        return json.loads(answer)


def serve() -> None:
    """Answer questions until there are no more."""
    # Answers have a channel of their own: nothing that is printed may get between them.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    preload()
    statuses: dict[int, int] = {}
    running: set[int] = set()
    for line in sys.stdin:
        question = json.loads(line)
        if 'start' in question:
            answer = fork(question, answers.fileno())
            running.add(answer)
        else:
            answer = question['status']
            if answer in running:
                pid, status = os.waitpid(answer, os.WNOHANG)
                if pid:
                    running.remove(pid)
                    statuses[pid] = os.waitstatus_to_exitcode(status)
            answer = statuses.get(answer)
        answers.write(json.dumps(answer) + '\n')
        answers.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def preload() -> None:
    """Import and read once what every run needs; two thirds of a short run's time otherwise."""
    for name in PRELOADED:
        importlib.import_module(name)
    from mmengine.config import Config, config, utils

    # A config is formatted for the eye in every checkpoint, and the lists of upstream's models are read for every base.
    config.FormatCode = lambda text, **style: (text, False)
    utils._get_cfg_metainfo = functools.cache(utils._get_cfg_metainfo)
    for name in ('seg', 'det'):
        Config.fromfile(HERE / 'configs' / f'{name}.py')


def fork(question: dict, answers: int) -> int:
    """Start a run in a new process and return its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.close(answers)
        os.setpgid(0, 0)
        log = os.open(question['log'], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(question['environment'])
        status = run(question['start'])
    finally:
        if sys.exc_info()[0]:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(arguments: list[str]) -> int:
    """Do what tools/train.py does."""
    import mmseq.cli
    from mmseq.cli.train import main

    if 'FILE_SIZE_LIMIT' in os.environ:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ['FILE_SIZE_LIMIT']),) * 2)
    try:
        mmseq.cli.run(lambda: main(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == '__main__':
    serve()
