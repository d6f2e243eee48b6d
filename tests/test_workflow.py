"""What runs for the public repository: make targets that exist, the Pythons that setup.py accepts, forms that ask."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
FORMS = ('bug.yml', 'feature.yml')
MAKEFILE = (ROOT / 'Makefile').read_text()


def jobs() -> dict[str, Any]:
    return {name: job for path in WORKFLOWS for name, job in yaml.safe_load(path.read_text())['jobs'].items()}


def commands() -> Iterator[list[str]]:
    """The words of every make."""
    for job in jobs().values():
        for step in job['steps']:
            # An expression of GitHub's is a value.
            line = re.sub(r'\$\{\{.*?\}\}', 'VALUE', step.get('run', ''))
            if line.startswith('make '):
                yield line.split()[1:]


def test_every_target_and_variable_is_in_the_makefile() -> None:
    found = list(commands())
    assert {'lint', 'test', 'docs', 'wheel'} <= {words[0] for words in found}
    phony = re.search(r'^\.PHONY: (.*)$', MAKEFILE, re.MULTILINE)[1].split()
    for target, *settings in found:
        assert target in phony
        assert re.search(rf'^{target}:', MAKEFILE, re.MULTILINE)
        for setting in settings:
            assert re.search(rf'^{setting.partition("=")[0]} \?=', MAKEFILE, re.MULTILINE)


def test_the_pythons_are_those_that_setup_accepts() -> None:
    accepted = SpecifierSet(re.search(r"python_requires='(.*)'", (ROOT / 'setup.py').read_text())[1])
    pythons = jobs()['test']['strategy']['matrix']['python']
    assert pythons == [version for version in (f'3.{minor}' for minor in range(30)) if accepted.contains(version)]


def test_the_oldest_torch_is_that_of_setup() -> None:
    oldest = re.search(r"'torch>=([\d.]+)'", (ROOT / 'setup.py').read_text())[1]
    assert jobs()['torch']['strategy']['matrix']['torch'] == [f'{oldest}.0', 'newest']


def test_every_job_ends() -> None:
    assert all(job.get('timeout-minutes') for job in jobs().values())


@pytest.mark.parametrize('name', FORMS)
def test_forms_ask_for_the_doctor(name: str) -> None:
    form = yaml.safe_load((ROOT / '.github' / 'ISSUE_TEMPLATE' / name).read_text())
    assert {'name', 'description', 'body'} <= set(form)
    ids = [field['id'] for field in form['body']]
    assert len(set(ids)) == len(ids)
    assert all(field['attributes']['label'] for field in form['body'])
    (doctor,) = (field for field in form['body'] if field['id'] == 'doctor')
    assert 'mmseq doctor --json' in doctor['attributes']['description']


def test_the_image_copies_what_is_there() -> None:
    text = (ROOT / 'Dockerfile').read_text()
    copied = [word for line in re.findall(r'^COPY (.*)$', text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    kept = {line[1:] for line in (ROOT / '.dockerignore').read_text().split() if line.startswith('!')}
    assert set(copied) == kept
