"""How long calls take and what memory they need, side by side: calls take turns, so that a machine's moods hit all."""

import multiprocessing
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from scipy.stats import linregress, t

from mmseq.compat.allocator import available, resident

Call = Callable[[], object]
# Until the holes that calls leave in the memory are as many as they will be.
CALLS = 3
# Imported once by the server that the measuring processes fork from.
PRELOAD = ('torch', 'timm', 'mmseq.backbones')


def seconds(call: Call, repeats: int, device: torch.device) -> float:
    """Seconds of one call, of ``repeats`` in a row; on a GPU those of the device."""
    if device.type == 'cuda':
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000 / repeats
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def alternate(
    calls: Mapping[str, Call],
    device: torch.device,
    rounds: int = 7,
    slot: float = 0.2,
    budget: float | None = None,
    said: Callable[[str], object] | None = None,
    rest: float = 0.0,
) -> dict[str, list[float]]:
    """Seconds per call of several functions that take turns, in another order each round, after calls not counted.

    Args:
        calls: what to time, by name.
        device: where they run.
        rounds: turns of each.
        slot: seconds that a turn should last; shorter calls are repeated within it.
        budget: seconds after which no further round begins, once there are three.
        said: told of each round.
        rest: seconds of silence before each turn. Threads of the call before spin for a while, and where calls have
            processes of their own they would take the processor from the next one.

    Returns:
        As many values for each name, in the order of the rounds.
    """
    repeats = {}
    for name, call in calls.items():
        seconds(call, 1, device)
        repeats[name] = max(1, min(200, round(slot / seconds(call, 1, device))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    names, order = list(calls), random.Random(0)
    begin = time.perf_counter()
    for number in range(rounds):
        if budget is not None and number >= 3 and time.perf_counter() - begin > budget:
            break
        if said:
            said(f'round {number + 1} of {rounds}')
        # What ran before leaves caches and memory behind: not always the same neighbour.
        order.shuffle(names)
        for name in names:
            time.sleep(rest)
            times[name].append(seconds(calls[name], repeats[name], device))
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method='inclusive')
    return dict(median=middle, quartile_1=low, quartile_3=high, rounds=len(values))


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> dict[str, float]:
    """:func:`spread` of the quotients of each round, in which both had their turn."""
    return spread([a / b for a, b in zip(numerator, denominator, strict=True)])


def slope(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """Of log y against log x, with a 95 % confidence interval (Student's t on the residuals); three points at least."""
    logs = [torch.tensor(values, dtype=torch.float64).log().tolist() for values in (x, y)]
    line = linregress(*logs)
    half = float(t.ppf(0.975, len(x) - 2)) * float(line.stderr)
    return dict(slope=float(line.slope), low=float(line.slope) - half, high=float(line.slope) + half, points=len(x))


class OwnProcess:
    """A call that a process of its own makes and runs, so that no other call's memory lies in its heap.

    Args:
        make: gives the call; a function of a module.
        arguments: of ``make``.
    """

    def __init__(self, make: Callable[..., Call], arguments: tuple[Any, ...]) -> None:
        context = forkserver()
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=serve, args=(make, arguments, there), daemon=True)
        self._process.start()
        there.close()

    def __call__(self) -> None:
        """One call.

        Raises:
            ChildProcessError: the process has ended, for lack of memory or with the error that it printed.
        """
        try:
            self._pipe.send(None)
            self._pipe.recv()
        except (EOFError, OSError) as error:
            raise ChildProcessError('the process of a timed call has ended; does the memory suffice?') from error

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def serve(make: Callable[..., Call], arguments: tuple[Any, ...], pipe: Any) -> None:
    """Run in a process of its own: a call for each message."""
    call = make(*arguments)
    with suppress(EOFError):
        while True:
            pipe.recv()
            call()
            pipe.send(None)


def forkserver() -> Any:
    """Processes that have imported what takes long, and have not used it."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(list(PRELOAD))
    return context


def peak_bytes(make: Callable[..., Call], arguments: tuple[Any, ...], device: torch.device) -> int | None:
    """What calls take at most beyond what stood before them, from the first to the third.

    Args:
        make: gives the call; a function of a module, since a process of its own makes and runs it where the memory is
            the process's.
        arguments: of ``make``.
        device: on a GPU its tensors are counted, on a CPU what the process holds of the machine's memory.

    Returns:
        Bytes, or None if the memory did not suffice.
    """
    if device.type == 'cuda':
        return peak_on_gpu(make(*arguments))
    if not sys.platform.startswith('linux'):
        return None
    context = forkserver()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=measured, args=(make, arguments, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        # The machine ends a process that asks for more than there is.
        return None
    finally:
        process.join()


def peak_on_gpu(call: Call) -> int | None:
    """The same within this process; a first call makes the libraries' workspaces and is not counted."""
    try:
        call()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    return torch.cuda.max_memory_allocated() - before


def measured(make: Callable[..., Call], arguments: tuple[Any, ...], sender: Any) -> None:
    """Run in a process of its own: send the peak of resident memory beyond what stood before the calls."""
    # So that a call which asks for more than there is fails by itself, instead of the machine choosing what to end.
    limit = int(0.8 * available())
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    call = make(*arguments)
    # Resets the peak that the kernel keeps (proc(5), clear_refs).
    Path('/proc/self/clear_refs').write_text('5')
    before = resident('VmRSS')
    try:
        for _ in range(CALLS):
            call()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and 'allocate memory' not in str(error):
            raise
        sender.send(None)
        return
    sender.send(max(0, resident('VmHWM') - before))


def machine(device: torch.device) -> dict[str, Any]:
    """What a figure was measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        names = [
            line.split(':', 1)[1].strip() for line in info.read_text().splitlines() if line.startswith('model name')
        ]
        cpu = names[0] if names else cpu
    root = Path(__file__).parents[2]
    commit = subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=root, capture_output=True, text=True, check=False)
    dirty = subprocess.run(['git', 'status', '--porcelain'], cwd=root, capture_output=True, text=True, check=False)
    return dict(
        device=torch.cuda.get_device_name() if device.type == 'cuda' else cpu,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version(),
        commit=commit.stdout.strip() + (' with changes' if dirty.stdout.strip() else ''),
    )
