"""Every link and picture of every page leads somewhere, to the section that it names."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')]
FENCE = re.compile(r'^(```+).*?^\1$', re.MULTILINE | re.DOTALL)
CODE = re.compile(r'`[^`\n]+`')
LINK = re.compile(r'\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)|\b(?:src|href)="([^"]+)"')
HEADING = re.compile(r'^#+ (.+)$', re.MULTILINE)


def prose(page):
    """A page without its code, in which `](` means something else."""
    return CODE.sub('``', FENCE.sub('', page.read_text()))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = [re.sub(r'\[(.*?)\]\(.*?\)', r'\1', title) for title in HEADING.findall(FENCE.sub('', page.read_text()))]
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for markdown, html in LINK.findall(prose(page)):
        address, _, anchor = (markdown or html).partition('#')
        if re.match(r'\w+:', address):
            continue
        target = page.parent / address if address else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(markdown or html)
    assert not broken, f'{page.relative_to(ROOT)}: {broken}'


def test_pages_are_found():
    assert {'README.md', 'CONTRIBUTING.md', 'index.md', 'weights.md', 'ops.md'} <= {page.name for page in PAGES}


def test_every_picture_is_used():
    text = ''.join(page.read_text() for page in PAGES)
    # Plots are also there as SVG, for print.
    pictures = {path.stem for path in (ROOT / 'docs' / 'images').iterdir()}
    assert [name for name in pictures if f'images/{name}.' not in text] == []


def test_citation_names_this_version_and_the_papers():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['cff-version'] == '1.2.0'
    version = re.search(r"__version__ = '(.+)'", (ROOT / 'mmseq' / '__init__.py').read_text())[1]
    assert citation['version'] == version
    identifiers = {entry['value'] for item in citation['references'] for entry in item.get('identifiers', ())}
    page = (ROOT / 'docs' / 'citation.md').read_text()
    assert {'arXiv:2205.01972', 'arXiv:2201.10801', 'arXiv:2406.04303'} <= identifiers
    assert all(identifier in page for identifier in identifiers)
