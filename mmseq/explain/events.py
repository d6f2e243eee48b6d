"""What goes wrong on the way: frequent messages of upstream, torch and the system, and what to do about them."""

import errno
import re
import traceback
from pathlib import Path

from mmseq.errors import first_line
from mmseq.explain.work import Work

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
UPSTREAM = ('mmdet', 'mmseg', 'mmcv', 'mmengine')
_CALL = re.compile(r'File "(.+?)", line \d+, in (\w+)')
_OF_UPSTREAM = re.compile(rf'((?:{"|".join(UPSTREAM)})/\S+)$')
# Pattern of the message, and what to say; {0}, {1} ... are its groups.
EVENTS: tuple[tuple[str, str], ...] = (
    ('Package lvis is not installed', "LVIS's data and metric need the package lvis: pip install 'mmseq[lvis]'"),
    (
        'more than 1 value per channel',
        'batch norm needs more than one image per process where a head pools to 1 x 1; set '
        'train_dataloader.batch_size=2 or more',
    ),
    (
        r'(.+) does not have a deterministic implementation',
        '--deterministic: {0} does not have a deterministic implementation on this device',
    ),
    (
        'Expected to have finished reduction in the prior iteration',
        'some parameters got no gradient, which several processes must agree on: set find_unused_parameters=True '
        '(one process names them after its first iteration)',
    ),
    (
        'need at least one array to (?:concatenate|stack)',
        'a data set is empty: its annotations hold no image with a class of metainfo.classes, or its paths lead '
        'nowhere; mmseq check-data CONFIG says which',
    ),
    (
        'persistent_workers option needs num_workers > 0',
        'persistent_workers=True needs workers: with num_workers=0 set persistent_workers=False beside it',
    ),
    (
        'each data_itement in list of batch should be of equal size',
        'the samples of a batch are of different form: a pipeline ends with PackDetInputs or PackSegInputs',
    ),
    (
        r"'InstanceData' object has no attribute '(\w+)'",
        'the model wants {0} that the pipeline does not load: LoadAnnotations takes with_bbox, with_mask and with_seg, '
        'and mmseq check-data CONFIG looks for them in the annotations',
    ),
    (
        r"'SegDataSample' object has no attribute '_?(\w+)'",
        'the model wants {0} that the pipeline does not load: put LoadAnnotations into it',
    ),
    (
        r'stack expects each tensor to be equal size, but got (\[.+?\]) at entry 0 and (\[.+?\])',
        'a batch holds things of several sizes, {0} and {1}: end the pipeline of its data with one size (RandomCrop '
        'and Pad, or Resize without keep_ratio), or have model.data_preprocessor pad images to one (size)',
    ),
    (
        'EADDRINUSE|[Aa]ddress already in use',
        'the port is in use, by another run or one that has not ended: set PORT to a free one, or leave it out on one '
        'node',
    ),
    (
        'device-side assert',
        'the GPU met an index out of range, mostly a label beyond the classes of a head: mmseq check-data CONFIG --all '
        'names such files; CUDA_LAUNCH_BLOCKING=1 the operation',
    ),
    (
        'Too many open files|received 0 items of ancdata',
        'too many open files: raise the limit (ulimit -n 65536), or lower num_workers of the data loaders',
    ),
    (
        r'(\w+, \w+),? and (\w+) should be either all None or not None',
        '{0} and {1} belong together: give all three, or None for all three',
    ),
    (
        "(?:Expected one of cpu, cuda.* at start of|Invalid) device string: '?([^']*)",
        'device {0}: expected cpu, cuda or cuda:N',
    ),
    (
        'Torch not compiled with CUDA enabled|No CUDA GPUs are available|Found no NVIDIA driver',
        'there is no GPU here that this torch can use; mmseq doctor says more, and --device cpu does without',
    ),
    (
        'invalid device ordinal',
        'there are fewer GPUs here than processes: lower --gpus, or see what CUDA_VISIBLE_DEVICES hides',
    ),
    (
        # As a worker of a data loader hands it on, without its parts.
        r"in DataLoader worker[\s\S]*No such file or directory: '(.+?)'",
        '{0}: No such file or directory',
    ),
    (
        r"'(\w+)' object has no attribute 'get_cat_ids'",
        'ClassBalancedDataset counts the classes of one data set, and {0} does not tell them: put it around each data '
        'set inside instead',
    ),
    (
        r"No module named '((?!mmseq\b)[\w.]+)'",
        'Python finds no module {0}: install it, or say with PYTHONPATH=DIR where it is',
    ),
    (
        r'to have (\d+) channels, but got (\d+) channels',
        'a layer was made for {0} channels and gets {1}: in_channels of the neck or head behind a part must be what '
        'that part gives',
    ),
)


def explain(error: BaseException, work: Work) -> str | None:
    """What happened and what to do; None if it is not known."""
    if isinstance(error, OSError) and error.errno in FULL:
        return (
            f'{error.filename or work.get("work_dir")}: cannot be written ({error.strerror}); what was saved before is '
            'whole: free disk space and continue with --resume'
        )
    if found := metric_of_best(error):
        return found
    text = str(error)
    for pattern, say in EVENTS:
        if match := re.search(pattern, text):
            return say.format(*match.groups())
    return None


def own_message(error: BaseException, work: Work) -> str | None:
    """The message of an error that is clear by itself: the system's about a file, or an assertion of upstream."""
    if isinstance(error, OSError) and isinstance(error.filename, (str, Path)):
        return unwritable(error, work) or f'{error.filename}: {error.strerror}'
    if isinstance(error, (AssertionError, NotImplementedError)) and (module := raising_module(error)):
        # Some assert without words.
        return f'{module}: {first_line(error) if str(error) else traceback.extract_tb(error.__traceback__)[-1].line}'
    return failing_transform(error)


def failing_transform(error: BaseException) -> str | None:
    """That one of upstream's transforms ends in upstream's code; errors of a user's own keep their traceback."""
    name, text = in_worker(error) or in_this_process(error)
    if name is None:
        return None
    return (
        f'{name} ends with {text}; it does not take what the transforms before it give: correct the pipeline of the '
        'data set'
    )


def in_this_process(error: BaseException) -> tuple[str | None, str]:
    """The transform in which an error was raised, None for another place, and the error in a line."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)] if raising_module(error) else []
    names = [
        type(frame.f_locals.get('self')).__name__
        for frame in frames
        if frame.f_code.co_name == 'transform' and str(frame.f_globals.get('__name__')).partition('.')[0] in UPSTREAM
    ]
    return (names[-1] if names else None), f'{type(error).__name__}: {first_line(error)}'


def in_worker(error: BaseException) -> tuple[str, str] | None:
    """The same of an error that a worker of a data loader hands on as a text; the transform is named by its file."""
    text = str(error)
    calls = _CALL.findall(text) if 'in DataLoader worker process' in text else []
    places = [path for path, function in calls if function == 'transform']
    if not places or not _OF_UPSTREAM.search(calls[-1][0]) or not (found := _OF_UPSTREAM.search(places[-1])):
        return None
    return f'a transform of {found[1]}', text.strip().splitlines()[-1]


def unwritable(error: OSError, work: Work) -> str | None:
    """That the work dir, or something in it, cannot be made."""
    place, path = Path(work.get('work_dir') or '.').absolute(), Path(error.filename).absolute()
    if path not in (place, *place.parents) and not (error.errno in DENIED and place in path.parents):
        return None
    return f'--work-dir {work.get("work_dir")}: cannot be written to ({error.strerror}: {path}); choose another'


def raising_module(error: BaseException) -> str | None:
    """The module of OpenMMLab that raised an error itself."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module = str(frames[-1].f_globals.get('__name__')) if frames else ''
    return module if module.partition('.')[0] in UPSTREAM else None


def metric_of_best(error: BaseException) -> str | None:
    """A metric by which the best checkpoint is to be chosen, and which the evaluation does not give."""
    for frame, _ in traceback.walk_tb(error.__traceback__) if isinstance(error, KeyError) else ():
        if frame.f_code.co_name == '_save_best_checkpoint':
            given = ', '.join(map(str, frame.f_locals.get('metrics', ())))
            return (
                f'default_hooks.checkpoint.save_best={error.args[0]}: the evaluation gives no such metric, but {given}'
            )
    return None
