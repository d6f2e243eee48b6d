"""The command mmseq: its commands, their help and examples, completion, and what an installed package brings."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.logging import print_log
from pycocotools import coco

from mmseq import __version__
from mmseq.cli import completion, plain_lines, plainly
from mmseq.cli.commands import COMMANDS, check_arguments, find, parser_of
from mmseq.cli.main import main, overview
from mmseq.errors import InputError

ROOT = Path(__file__).parents[2]
HEAVY = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'numpy', 'matplotlib', 'PIL', 'cv2', 'gradio'}
EACH = pytest.mark.parametrize('command', COMMANDS, ids=lambda command: command.name)


def examples(command):
    """The arguments of every example in the help of a command."""
    block = re.search(r'^examples?:\n((?:  .+\n)+)', parser_of(command).epilog, re.MULTILINE)
    assert block, f'mmseq {command.name} --help has no example'
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert all(line[:2] == ['mmseq', command.name] for line in lines)
    return [line[2:] for line in lines]


@EACH
def test_help_has_examples_that_parse_and_work_without_a_checkout(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command.name, '--help'])
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert shown.startswith(f'usage: mmseq {command.name} ')
    assert '.py' not in shown.replace("'mmseq::NAME.py'", ''), 'a script is named instead of a command'
    for arguments in examples(command):
        assert f'  mmseq {shlex.join([command.name, *arguments])}\n' in shown, 'an example is broken into lines'
        parsed = parser_of(command).parse_args(arguments)
        # With --data it may be left out.
        config = getattr(parsed, 'config', None) or 'mmseq::upernet_seq2d_nano_shapes'
        # A work dir has the name of its config, and an exported model lies in one.
        name = re.sub(r'^(?:mmseq::|work_dirs/)|/model\.onnx$', '', config)
        assert name != config
        assert (ROOT / 'configs' / f'{name}.py').is_file()


@EACH
def test_every_argument_has_a_help_text(command):
    assert [action.dest for action in parser_of(command)._actions if not action.help] == []


def test_files_are_named_as_their_commands():
    files = {path.stem for path in (ROOT / 'mmseq' / 'cli').glob('*.py')} - {'__init__', 'commands', 'main'}
    # The doctor is mmseq/doctor.py: it runs where the imports of the rest fail.
    assert files == {command.name.replace('-', '_') for command in COMMANDS} - {'doctor'}
    assert find('doctor').module == 'mmseq.doctor'


def test_a_script_shows_the_help_of_its_command(capsys, monkeypatch):
    # Both are as wide as the terminal.
    monkeypatch.setenv('COLUMNS', '80')
    with pytest.raises(SystemExit):
        main(['flops', '--help'])
    script = [sys.executable, str(ROOT / 'tools' / 'get_flops.py'), '--help']
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout == capsys.readouterr().out


@EACH
def test_script_of_tools_does_the_same(command):
    if command.tool:
        script = (ROOT / 'tools' / f'{command.tool}.py').read_text()
        assert f'from {command.module} import main\n' in script
        for name in (command.tool, f'{command.tool}.py', command.tool.replace('_', '-')):
            assert find(name) is command


def test_every_script_is_a_command():
    assert {path.stem for path in (ROOT / 'tools').glob('*.py')} == {c.tool for c in COMMANDS if c.tool}
    names = [name for command in COMMANDS for name in command.names()]
    assert len(names) == len(set(names))


def test_help_and_completion_load_nothing_heavy():
    code = (
        'import sys; from mmseq.cli.main import overview; from mmseq.cli.completion import whole_parser; overview();'
        f'whole_parser(); print(sorted({HEAVY} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == '[]\n'


def test_overview_lists_all(capsys):
    assert main([]) == 0
    alone = capsys.readouterr().out
    assert main(['--help']) == 0
    assert capsys.readouterr().out == alone
    for command in COMMANDS:
        assert re.search(rf'^  {command.name} +{re.escape(command.summary)}$', alone, re.MULTILINE)
    assert max(map(len, alone.splitlines())) <= 100
    assert main(['--version']) == 0
    assert capsys.readouterr().out == f'mmseq {__version__}\n'


def test_the_overview_begins_with_commands_to_start_with():
    block = re.search(r'^start here:\n((?:  .+\n)+)', overview(), re.MULTILINE)
    lines = [shlex.split(line.partition('  ')[0]) for line in block[1].replace('\n  ', '\n')[2:].splitlines()]
    assert [line[1] for line in lines] == ['doctor', 'demo', 'import-data', 'train', 'report', 'infer']
    for _, name, *arguments in lines:
        check_arguments(parser_of(find(name)), arguments)


@pytest.mark.parametrize(
    'arguments,message',
    [
        (['trian'], 'mmseq trian: no such command; nearest: train'),
        (['get_flop'], 'mmseq get_flop: no such command; nearest: flops'),
        (['zzz'], 'mmseq zzz: no such command; mmseq --help lists them'),
        (['train', 'a.py', '--workdir', 'x'], 'mmseq train: no option --workdir; nearest: --work-dir'),
        (['train', 'a.py', 'b.py'], 'mmseq train: one argument too many: b.py'),
        (['train'], 'no config: give one (mmseq configs lists them), or data of your own with --data CARD'),
        (['test'], 'mmseq test: the following arguments are required: config'),
        (['train', 'a.py', '--gpus', '0'], '0: expected a whole number above 0'),
        (['train', 'a.py', '--cfg-options', 'x'], '--cfg-options x: expected KEY=VALUE'),
        (['train', 'a.py', '--cfg-options', 'x=[1,(2]'], 'brackets that do not match in x=[1,(2]'),
        (['train', 'a.py', '--cfg-options', "x=[dict(type='A', b=1)]"], 'write lists of dicts into a config'),
        (['seeds', 'a.py', '--first', '--', '--amp'], 'expected one argument'),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    with pytest.raises(InputError) as error:
        main(arguments)
    assert message in str(error.value)
    assert '\n' not in str(error.value)


def test_from_a_shell(tmp_path):
    def run(*arguments):
        command = [sys.executable, '-m', 'mmseq', *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    done = run('tarin')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == 'error: mmseq tarin: no such command; nearest: train\n'
    done = run('make_shapes', 'shapes', '--train', '1', '--val', '1')
    assert done.returncode == 0
    assert '1 train and 1 val images' in done.stdout
    assert (tmp_path / 'shapes' / 'coco').is_dir()


def test_options_after_two_dashes_belong_to_the_trainings():
    args = parser_of(find('seeds')).parse_args(['c.py', '--seeds', '2', '--', '--amp', '--ema', '0.1'])
    assert (args.seeds, args.options) == (2, ['--amp', '--ema', '0.1'])


def test_port_in_use_and_settings_that_are_no_numbers(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        monkeypatch.setenv('PORT', str(taken.getsockname()[1]))
        monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
        with pytest.raises(InputError, match=r'PORT: 127.0.0.1:\d+ is in use by another program'):
            main(['train', 'any.py', '--gpus', '2'])
    monkeypatch.setenv('NNODES', 'two')
    with pytest.raises(InputError, match='NNODES=two in the environment: expected a whole number of at least 1'):
        main(['train', 'any.py', '--gpus', '2'])


def test_commands_print_what_a_person_reads_and_no_log(capsys):
    def say_as(module, text):
        exec('say(text, "current")', {'__name__': module, 'say': print_log, 'text': text})

    @plainly
    def command(argv):
        say_as('mmseq.model.trained', '2/2 tensors')
        say_as('mmseq.backbones.base', 'weights of the backbone')
        say_as('mmdet.models.heads', 'theirs')
        exec('say("loading annotations into memory...")', {'__name__': 'pycocotools.coco', 'say': coco.print})
        with plain_lines():
            say_as('mmseq.model.named', 'a run')
        say_as('mmseq.model.named', 'its checkpoint')
        return len(argv)

    assert command(['a']) == 1
    assert capsys.readouterr().out.splitlines() == [
        '2/2 tensors',
        'weights of the backbone',
        'a run',
        'its checkpoint',
    ]


def test_mistake_in_several_processes_is_reported_once(nursery, tmp_path):
    command = [nursery.commands / 'mmseq', 'train', 'mmseq::upernet_seq2d_nano_shapes', '--gpus', '2']
    environment = os.environ | nursery.pythons
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith('error:')] == [
        'error: data root data/shapes/ade/ADEChallengeData2016: no such folder; '
        'put the data there or set MMSEQ_DATA to its parent'
    ]
    assert 'Traceback' not in done.stderr


def test_configs(capsys):
    assert main(['configs', 'upernet*nano', 'dino_vil']) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names[:2] == ['config', 'mmseq::dino_vil_t_coco']
    assert 'mmseq::upernet_seq2d_nano_shapes' in names
    assert len(names) == 6
    assert main(['configs', '--folder']) == 0
    assert capsys.readouterr().out == f'{ROOT / "configs"}\n'
    with pytest.raises(InputError, match='no config is called zzz'):
        main(['configs', 'zzz'])


def test_configs_by_task_size_and_figures(capsys):
    def listed(*arguments):
        assert main(['configs', *arguments]) == 0
        return [line.split('  ') for line in capsys.readouterr().out.splitlines()]

    everything = listed()
    assert len(everything) == 1 + len(list((ROOT / 'configs').glob('*.py')))
    (line,) = (
        line for line in listed('--task', 'instances', '--reported') if line[0] == 'mmseq::mask_rcnn_swin_t_coco'
    )
    assert [cell.strip() for cell in line if cell] == [
        'mmseq::mask_rcnn_swin_t_coco',
        'instances',
        'COCO 2017',
        '47.8 M',
        'box AP 42.7',
        '-',
    ]
    small = listed('--max-parameters', '2')
    assert all('shapes' in line[0] for line in small[1:])
    assert 1 < len(small) < len(everything)
    summary = listed('upernet_seq2d_nano_shapes', '--summary')
    assert 'Sequencer2D' in summary[0][-1]
    with pytest.raises(InputError, match='none of the .* configs fits'):
        main(['configs', 'upernet', '--task', 'boxes'])


def complete(tmp_path, *words):
    """What bash offers for the last of these words."""
    script = tmp_path / 'mmseq.bash'
    if not script.exists():
        import shtab

        script.write_text(shtab.complete(completion.whole_parser(), 'bash'))
    line = shlex.join(words)
    code = (
        f'source {shlex.quote(str(script))}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}; '
        'COMP_POINT=${#COMP_LINE}; function=$(complete -p mmseq); function=${function##*-F }; ${function% mmseq}; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(['bash', '-c', code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ''
    return set(done.stdout.split())


@pytest.mark.skipif(not shutil.which('bash'), reason='no bash')
def test_bash_completes(tmp_path):
    (tmp_path / 'mine.py').write_text('')
    (tmp_path / 'runs').mkdir()
    assert complete(tmp_path, 'mmseq', 'tr') == {'train'}
    assert {command.name for command in COMMANDS} <= complete(tmp_path, 'mmseq', '')
    assert complete(tmp_path, 'mmseq', 'train', '--res') == {'--resume'}
    assert complete(tmp_path, 'mmseq', 'train', 'mine.py', '--shard', '') >= {'zero', 'fsdp'}
    assert 'mine.py' in complete(tmp_path, 'mmseq', 'train', 'mi')
    assert complete(tmp_path, 'mmseq', 'train', 'mine.py', '--work-dir', 'r') == {'runs'}


@pytest.mark.parametrize('shell', completion.SHELLS)
def test_completion_scripts(shell, capsys):
    assert main(['completion', shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
    assert '--allow-partial' in script or 'allow-partial' in script
    # They read the script without a complaint; tcsh has no option for only reading it.
    check = [shell, '-f', '-c', 'source /dev/stdin'] if shell == 'tcsh' else [shell, '-n', '/dev/stdin']
    if shutil.which(shell):
        done = subprocess.run(check, input=script, text=True, check=True, capture_output=True)
        assert done.stderr == ''


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """What a built wheel holds, unpacked."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ('source', 'wheels', 'target'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'MANIFEST.in', 'model-index.yml'):
        shutil.copy(ROOT / name, source)
    for name in ('mmseq', 'configs'):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    build = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', wheels, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = wheels.glob('*.whl')
    shutil.unpack_archive(wheel, target, 'zip')
    return target


def test_a_wheel_brings_every_file_of_the_package(installed):
    package = ROOT / 'mmseq'
    files = {path.relative_to(package) for path in package.rglob('*') if path.is_file()}
    expected = {path for path in files if not {'__pycache__', '.mim'} & {*path.parts}}
    assert {path for path in expected if path.suffix != '.py'}
    assert [str(path) for path in sorted(expected) if not (installed / 'mmseq' / path).is_file()] == []


def test_a_wheel_brings_the_configs_and_the_command(installed, tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'mmseq::upernet_seq2d_nano_shapes.py'\nmodel = dict(backbone=dict(drop_path_rate=0.2))\n"
    )
    (script,) = installed.glob('*.dist-info/entry_points.txt')
    assert 'mmseq = mmseq.cli.main:command' in script.read_text()
    configs = {path.name for path in (ROOT / 'configs').glob('*.py')}
    assert {path.name for path in (installed / 'mmseq' / '.mim' / 'configs').glob('*.py')} == configs
    assert (installed / 'mmseq' / '.mim' / 'model-index.yml').is_file()
    code = (
        'import sys; sys.argv[0] = "mmseq"; from mmseq.cli.main import main; main(["configs", "--folder"]);'
        'from mmseq.config import load_config; cfg = load_config("mine.py", {});'
        'print(cfg.model.backbone.drop_path_rate, cfg.model.decode_head.type, cfg.work_dir)'
    )
    environment = {'PYTHONPATH': str(installed), 'PATH': '/usr/bin:/bin'}
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(installed / 'mmseq' / '.mim' / 'configs')
    assert done.stdout.splitlines()[-1] == '0.2 UPerHead work_dirs/mine'


@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_output_that_nobody_reads_is_no_traceback(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    env = dict(os.environ, PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run([sys.executable, '-m', 'mmseq', '--help'], stdout=writing, stderr=subprocess.PIPE, env=env)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b'')
