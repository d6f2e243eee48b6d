"""Python scripts by the dozen: a process that has imported everything forks one for every script.

`Nursery` starts that process and is what tests and scripts use. A script runs in a process of its own, which can be
killed as any other, and begins without the seconds that the imports take. `Nursery.commands` is a folder for the path
of a shell, with `python` and `mmseq` that are run in the same way, and hand on the signals that they get;
`Nursery.pythons` has the scripts of tools/ and torchrun use them.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
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
    'matplotlib.figure',
    'toys',
)
# What a shell, a script of tools/ and torchrun find as python and mmseq. What is neither a script nor a module by its
# name is left to python itself.
COMMAND = """#!{python} -IS
import json, os, signal, socket, sys
name, arguments = os.path.basename(sys.argv[0]), [one for one in sys.argv[1:] if one != '-u']
if name == 'mmseq':
    arguments = ['mmseq', *arguments]
elif not arguments or not (arguments[0] == '-m' or arguments[0].endswith('.py')):
    os.execv({python!r}, [{python!r}, *arguments])
request = dict(arguments=arguments, cwd=os.getcwd(), environment=dict(os.environ))
# It has another parent there.
request['environment'].pop('MMSEQ_PARENT', None)
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b'\\n'], [0, 1, 2])
server.sendall(json.dumps(request).encode() + b'\\n')
answers = server.makefile()
pid = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda received, frame: os.kill(pid, received))
status = int(answers.readline())
sys.exit(status if status >= 0 else 128 - status)
"""


class Nursery:
    """Starts scripts and waits for them.

    Args:
        environment: what the scripts find beside the environment of whoever starts them.
    """

    def __init__(self, **environment: str) -> None:
        paths = [str(ROOT), str(HERE / 'faults'), os.environ.get('PYTHONPATH', '')]
        self._environment = dict(OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join(paths), **environment)
        self._folder = Path(tempfile.mkdtemp())
        self._address = str(self._folder / 'socket')
        self.commands = self._folder / 'bin'
        self._runs: dict[int, socket.socket] = {}
        self._statuses: dict[int, int] = {}
        self._write_commands()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._address)
        listener.listen(64)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(listener.fileno())],
            cwd=ROOT,
            env=os.environ | self._environment,
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        listener.close()

    def _write_commands(self) -> None:
        self.commands.mkdir()
        text = COMMAND.format(python=sys.executable, address=self._address)
        for name in ('python', 'mmseq'):
            (self.commands / name).write_text(text)
            (self.commands / name).chmod(0o755)

    @property
    def pythons(self) -> dict[str, str]:
        """The environment in which scripts of tools/, and torchrun for its workers, start processes here."""
        python = str(self.commands / 'python')
        return dict(PYTHON=python, PYTHON_EXEC=python)

    def start(
        self, *arguments: Any, log: Path, script: str | Path = 'tools/train.py', cwd: Path = ROOT, **environment: Any
    ) -> int:
        """Start a script with arguments; its output goes behind `log`. Returns the process id."""
        texts = {key: str(value) for key, value in environment.items()}
        request = dict(
            arguments=[str(ROOT / script), *map(str, arguments)],
            cwd=str(cwd),
            environment=os.environ | self._environment | texts,
        )
        run = socket.socket(socket.AF_UNIX)
        run.connect(self._address)
        with log.open('ab') as output, open(os.devnull, 'rb') as empty:
            socket.send_fds(run, [b'\n'], [empty.fileno(), output.fileno(), output.fileno()])
        run.sendall(json.dumps(request).encode() + b'\n')
        pid = int(read_line(run))
        self._runs[pid] = run
        return pid

    def start_all(self, processes: int, *arguments: Any, log: Path, **environment: Any) -> list[int]:
        """Start a distributed run over gloo, as torchrun does; the logs are `log`.0, `log`.1 and so on."""
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        common = dict(WORLD_SIZE=processes, MASTER_ADDR='127.0.0.1', MASTER_PORT=port, **environment)
        return [
            self.start(*arguments, log=log.with_name(f'{log.name}.{rank}'), RANK=rank, LOCAL_RANK=rank, **common)
            for rank in range(processes)
        ]

    def status(self, pid: int) -> int | None:
        """Exit status of a run, the negative signal if one ended it, None if it is running."""
        if pid in self._runs:
            self._runs[pid].settimeout(0)
            try:
                line = read_line(self._runs[pid])
            except BlockingIOError:
                return None
            self._statuses[pid] = int(line)
            self._runs.pop(pid).close()
        return self._statuses[pid]

    def wait(self, pid: int, seconds: float = 120) -> int:
        """Wait for the end of a run; one that takes longer is killed and is an error."""
        end = time.monotonic() + seconds
        while (status := self.status(pid)) is None:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                raise TimeoutError(f'run {pid} was still running after {seconds} s')
            time.sleep(0.02)
        return status

    def run(self, *arguments: Any, log: Path, processes: int = 1, seconds: float = 120, **options: Any) -> str:
        """Run to a good end, or raise with the end of the output; returns the output of the first process."""
        if processes == 1:
            pids, logs = [self.start(*arguments, log=log, **options)], [log]
        else:
            pids = self.start_all(processes, *arguments, log=log, **options)
            logs = [log.with_name(f'{log.name}.{rank}') for rank in range(processes)]
        statuses = [self.wait(pid, seconds) for pid in pids]
        if any(statuses):
            texts = '\n'.join(path.read_text()[-3000:] for path in logs)
            raise RuntimeError(f'exit statuses {statuses}\n{texts}')
        return logs[0].read_text()

    def train(self, *arguments: Any, log: Path, processes: int = 1, **options: Any) -> None:
        """Run `tools/train.py` to a good end, or raise with the end of the output."""
        launcher = [] if processes == 1 else ['--launcher', 'pytorch']
        self.run(*arguments, *launcher, log=log, processes=processes, **options)

    def close(self) -> None:
        """End the nursery; runs that are left are killed."""
        self._process.stdin.close()
        # A process that a test has left behind holds the other end.
        self._process.wait(60)
        for run in self._runs.values():
            run.close()
        shutil.rmtree(self._folder)


def read_line(connection: socket.socket) -> bytes:
    """A line, which is sent whole; a connection that was closed instead is an error."""
    line = b''
    while not line.endswith(b'\n'):
        read = connection.recv(1)
        if not read:
            raise RuntimeError('the nursery has died; its output says why')
        line += read
    return line


def serve(listener: socket.socket) -> None:
    """Start what connections ask for and tell each its process id and its exit status, until stdin is closed."""
    preload()
    running: dict[int, socket.socket] = {}
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in selector.select(0.01 if running else None)]
        if sys.stdin in ready:
            break
        if listener in ready:
            connection = listener.accept()[0]
            pid = fork(connection)
            running[pid] = connection
            answer(connection, pid)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with running.pop(pid) as connection:
                    answer(connection, os.waitstatus_to_exitcode(status))
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def answer(connection: socket.socket, number: int) -> None:
    """Tell who asked the id of a run, or how it ended; who asked may have gone."""
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(f'{number}\n'.encode())


def preload() -> None:
    """Import and read once what every run needs; two thirds of a short run's time otherwise."""
    for name in PRELOADED:
        importlib.import_module(name)
    from mmengine.config import Config, config

    # A config is formatted for the eye in every checkpoint.
    config.FormatCode = lambda text, **style: (text, False)
    for name in ('seg', 'det'):
        Config.fromfile(HERE / 'faults' / 'configs' / f'{name}.py')
    # mmengine collects garbage for every data set that it builds, and would look at all that was imported.
    gc.collect()
    gc.freeze()


def fork(connection: socket.socket) -> int:
    """Start a run in a new process and return its id."""
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile('rb').readline())
    pid = os.fork()
    if pid:
        for file in files:
            os.close(file)
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        os.chdir(request['cwd'])
        os.environ.clear()
        os.environ.update(request['environment'])
        status = run(request['arguments'])
    finally:
        if sys.exc_info()[0]:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(arguments: list[str]) -> int:
    """Do what `python SCRIPT ...`, `python -m MODULE ...` or the command `mmseq ...` does; returns the exit status."""
    if 'FILE_SIZE_LIMIT' in os.environ:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ['FILE_SIZE_LIMIT']),) * 2)
    try:
        execute(arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f'{end.code}\n')
            return 1
        return end.code or 0
    return 0


def execute(arguments: list[str]) -> None:
    if arguments[0] == '-m':
        sys.argv, sys.path[0] = arguments[1:], os.getcwd()
        runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
    elif arguments[0] == 'mmseq':
        # A command's folder, where there is nothing to import.
        sys.argv, sys.path[0] = arguments, os.devnull
        runpy.run_path(str(ROOT / 'mmseq' / '__main__.py'), run_name='__main__')
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).absolute().parent)
        runpy.run_path(arguments[0], run_name='__main__')


if __name__ == '__main__':
    serve(socket.socket(fileno=int(sys.argv[1])))
