"""The documentation site: built with warnings as errors, complete, closed in itself, and readable on a phone."""

import importlib
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import pytest

from mmseq.cli.commands import COMMANDS, parser_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
ASIDE = {'__init__', 'commands', 'main'}
# No program and no config names what is in these: to read their docstrings, read their source.
INTERNAL = {
    'addresses',
    'compat',
    'doctor',
    'explain',
    'files',
    'large',
    'nested',
    'options',
    'pictures',
    'ranks',
    'saved_config',
}
INTERNAL |= {'side_by_side'}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The site as `make docs` makes it: its folder, and Sphinx's exit status and complaints."""
    for name in ('sphinx', 'furo', 'myst_parser', 'sphinx_copybutton', 'sphinx_inline_tabs'):
        pytest.importorskip(name, reason='the documentation is built with the extra [docs]')
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


def test_reference_has_every_package_that_programs_and_configs_name(site):
    from sphinx.util.inventory import InventoryFile

    with (site / 'objects.inv').open('rb') as file:
        inventory = InventoryFile.load(file, '', lambda base, path: path)
    packages = set(runpy.run_path(str(ROOT / 'tests' / 'test_imports.py'))['MAY']) - {'__init__', '__main__', 'cli'}
    listed = {name.split('.')[1] for name in inventory['py:module'] if '.' in name}
    assert listed == packages - INTERNAL
    for name in ('backbones', 'ops', 'layers', 'necks', 'checkpoints'):
        package = importlib.import_module(f'mmseq.{name}')
        named = {entry for kind in ('py:class', 'py:function') for entry in inventory[kind]}
        assert {f'mmseq.{name}.{item}' for item in package.__all__ if callable(getattr(package, item))} <= named


# Blocks of an article that reach out of it, or that have to be scrolled to be read: how, what, and by how many pixels.
CUT = """(mayScroll) => {
  const article = document.querySelector('article'), found = [];
  // Headings reach into the margin.
  const end = document.querySelector('.content').getBoundingClientRect().right;
  const scrolled = new Set();
  for (const node of article.querySelectorAll('*')) {
    if (scrolled.has(node.parentElement)) scrolled.add(node);
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    if (!box.width || style.display === 'inline') continue;
    const name = `${node.tagName} in ${node.parentElement.className}: ${node.textContent.trim().slice(0, 40)}`;
    if (box.right > end && !scrolled.has(node)) found.push(['reaches out', name, Math.round(box.right - end)]);
    if (style.overflowX === 'visible') continue;
    scrolled.add(node);
    const over = node.scrollWidth - node.clientWidth;
    if (over > 1) found.push([node.matches(mayScroll) ? 'has columns' : 'is cut', name, over]);
  }
  return found;
}"""
# On a narrow screen tables and what commands print keep their columns, and scroll.
COLUMNS = '.table-wrapper, .highlight-text pre'
WIDE = 1280
PAGES = (
    'index',
    'get_started',
    'own_data',
    'models',
    'tools',
    'errors',
    'reliability',
    'api/layers',
    'file/configs/upernet_seq2d_nano_shapes.py',
)


@pytest.fixture
def tab(browser):
    """A page of the browser; nothing may fail in it."""
    page, errors = browser.new_page(), []
    page.on('console', lambda message: errors.append(message.text) if message.type == 'error' else None)
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('requestfailed', lambda request: errors.append(request.url))
    yield page
    page.close()
    assert errors == []


@pytest.mark.parametrize('name', PAGES)
def test_no_block_is_cut_at_any_width(site, tab, name):
    tab.goto((site / f'{name}.html').as_uri())
    assert tab.evaluate('[...document.images].every(image => image.complete && image.naturalWidth > 0)')
    found = []
    for width, scheme in product((390, 768, WIDE, 1920), ('light', 'dark')):
        tab.set_viewport_size(dict(width=width, height=900))
        tab.emulate_media(color_scheme=scheme)
        assert tab.evaluate('document.documentElement.scrollWidth') <= width
        blocks = tab.evaluate(CUT, COLUMNS)
        found += [(width, scheme, *block) for block in blocks if width >= WIDE or block[0] != 'has columns']
    assert found == []


def test_a_long_table_is_filtered_and_sorted(site, tab):
    tab.goto((site / 'models.html').as_uri())
    field = tab.get_by_role('searchbox', name='Show rows with these words')
    field.fill('upernet SEQ2D')
    shown = tab.locator('tbody tr:visible td:first-child').all_inner_texts()
    assert len(shown) > 3
    assert all(name.startswith('upernet_seq2d') for name in shown)
    assert f'{len(shown)} of ' in tab.locator('output').inner_text()
    heading = tab.get_by_role('button', name='parameters')
    for descending in (False, True):
        heading.click()
        sizes = [float(text.split()[0]) for text in tab.locator('tbody tr:visible td:nth-child(2)').all_inner_texts()]
        assert sizes == sorted(sizes, reverse=descending)


def test_commands_have_a_button_that_copies_them(site, tab):
    tab.goto((site / 'get_started.html').as_uri())
    copied = tab.locator('.highlight-bash button.copybtn').count()
    assert copied == tab.locator('.highlight-bash').count() > 5
    assert tab.locator('.highlight-text').count()
    assert not tab.locator('.highlight-text button.copybtn').count()


def test_sections_of_a_long_page_are_listed_at_every_width(site, tab):
    tab.goto((site / 'tools.html').as_uri())
    for width in (390, 768, 1280, 1920):
        tab.set_viewport_size(dict(width=width, height=900))
        link = tab.locator('.on-this-page a:visible, .toc-tree a:visible').filter(has_text='mmseq report')
        assert link.first.is_visible(), width


def test_ways_are_behind_tabs(site, tab):
    tab.goto((site / 'get_started.html').as_uri())
    assert not tab.get_by_text('uv venv').is_visible()
    tab.locator('label', has_text='uv').click()
    assert tab.get_by_text('uv venv').is_visible()


@pytest.mark.parametrize(
    'text, language',
    [
        ('mmseq train X\nmmseq test \\\n    Y  # or Z\n', 'bash'),
        ('MMSEQ_DATA=data python a.py', 'bash'),
        ('backbone=dict(\n    arch="s",\n)', 'python'),
        ('from a import b', 'python'),
        ('mmseq flops X\n\nparameters 3 M', 'text'),
        ('card.yaml', 'text'),
        ('128 64 128 road', 'text'),
    ],
)
def test_languages_of_blocks_without_one(text, language):
    assert runpy.run_path(str(DOCS / '_site' / 'code.py'))['language'](text) == language
