"""The documentation site: built with warnings as errors, complete, closed in itself, and readable on a phone."""

import importlib
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from mmseq.cli.commands import COMMANDS, parser_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
ASIDE = {'__init__', 'commands', 'main'}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The site as `make docs` makes it: its folder, and Sphinx's exit status and complaints."""
    pytest.importorskip('sphinx', reason='the documentation is built with the extra [docs]')
    out = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-E', '-d', str(out / '.doctrees')]
    done = subprocess.run([*command, '-b', 'html', str(DOCS), str(out / 'html')], capture_output=True, text=True)
    return out / 'html', done.returncode, done.stderr


@pytest.fixture
def site(built):
    return built[0]


def test_built_without_a_warning(built):
    _, status, complaints = built
    assert complaints == ''
    assert status == 0


class Page(HTMLParser):
    """The ids of a page, its links, and what a browser would load with it."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded = set(), set(), set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get('id'))
        if tag == 'a' and found.get('href'):
            self.links.add(found['href'])
        if tag in ('link', 'script', 'img', 'source', 'iframe'):
            self.loaded.add(found.get('src') or found.get('href'))


def test_links_and_files_of_the_site(site):
    pages = {path: Page(path) for path in site.rglob('*.html')}
    assert len(pages) > 100
    broken = []
    for path, page in pages.items():
        for address in page.links | page.loaded - {None}:
            if re.match(r'\w+:', address):
                if address in page.loaded and not address.startswith('data:'):
                    broken.append(f'{path.relative_to(site)} loads {address}')
                continue
            file, _, anchor = address.partition('#')
            target = (path.parent / unquote(file.partition('?')[0])).resolve() if file else path
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                broken.append(f'{path.relative_to(site)}: {address}')
    assert broken == []


def test_front_page_is_the_readme(site):
    html = (site / 'index.html').read_text()
    titles = re.findall(r'^#+ (.+)$', (ROOT / 'README.md').read_text(), re.MULTILINE)
    assert titles
    assert [title for title in titles if f'>{title}<' not in html] == []


def test_every_tool_is_on_its_page(site):
    html = (site / 'tools.html').read_text()
    modules = {command.module for command in COMMANDS}
    assert modules >= {f'mmseq.cli.{path.stem}' for path in (ROOT / 'mmseq' / 'cli').glob('*.py')} - {
        f'mmseq.cli.{name}' for name in ASIDE
    }
    for command in COMMANDS:
        assert f'id="mmseq-{command.name}"' in html
        for action in parser_of(command)._actions:
            for option in action.option_strings if action.dest != 'help' else ():
                assert f'>{option}' in html, f'{command.name} {option}'
    for script in sorted(path.name for path in (ROOT / 'tools').glob('*_*.sh')):
        assert script in html


def test_every_config_is_in_a_table(site):
    html = (site / 'models.html').read_text()
    configs = sorted((ROOT / 'configs').glob('*.py'))
    assert len(configs) > 50
    for config in configs:
        assert f'file/configs/{config.name}.html' in html
        assert (site / 'file' / 'configs' / f'{config.name}.html').is_file()


def test_reference_has_every_package(site):
    from sphinx.util.inventory import InventoryFile

    with (site / 'objects.inv').open('rb') as file:
        inventory = InventoryFile.load(file, '', lambda base, path: path)
    packages = set(runpy.run_path(str(ROOT / 'tests' / 'test_imports.py'))['MAY']) - {'__init__', '__main__', 'cli'}
    listed = {name.split('.')[1] for name in inventory['py:module'] if '.' in name}
    assert listed == packages
    for name in ('backbones', 'ops', 'layers', 'necks', 'checkpoints'):
        package = importlib.import_module(f'mmseq.{name}')
        named = {entry for kind in ('py:class', 'py:function') for entry in inventory[kind]}
        assert {f'mmseq.{name}.{item}' for item in package.__all__ if callable(getattr(package, item))} <= named


def test_pages_open_and_fit_a_phone(site, browser):
    page = browser.new_page(viewport={'width': 375, 'height': 700})
    errors = []
    page.on('console', lambda message: errors.append(message.text) if message.type == 'error' else None)
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('requestfailed', lambda request: errors.append(request.url))
    for name in ('index', 'architecture', 'tools', 'models', 'api/ops'):
        page.goto((site / f'{name}.html').as_uri(), wait_until='networkidle')
        assert page.evaluate('document.documentElement.scrollWidth') <= 375, name
        loaded = page.evaluate('[...document.images].every(image => image.complete && image.naturalWidth > 0)')
        assert loaded, name
    page.close()
    assert errors == []
