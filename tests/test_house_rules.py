"""The bans of .pre-commit-config.yaml hold in every file, whether or not somebody installed the hooks."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
HOOKS = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
BANS = [hook for hook in HOOKS if hook['language'] == 'pygrep']


def tracked():
    if not (ROOT / '.git').exists() or not shutil.which('git'):
        pytest.skip('not a git checkout')
    listed = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize('ban', BANS, ids=lambda hook: hook['id'])
def test_ban(ban):
    files = [name for name in tracked() if re.search(ban.get('files', r'\.py$'), name)]
    assert files
    pattern = re.compile(ban['entry'])
    hits = []
    for name in files:
        for number, line in enumerate((ROOT / name).read_text(errors='replace').splitlines(), 1):
            if pattern.search(line) and not name.startswith(('tests/test_house_rules', '.pre-commit')):
                hits.append(f'{name}:{number}: {line.strip()}')
    assert hits == []
