"""The documentation site: ``make docs`` builds it into build/docs, tests/docs builds it with warnings as errors.

The pages are Markdown that reads well without the site too. What code knows better than people is made while the site
is built, by the modules of ``docs/_site``: the tools from their parsers and the reference from the packages.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

from sphinx.application import Sphinx

import mmseq

HERE = Path(__file__).parent
COLOURED = ('color-brand-primary', 'color-brand-content', 'color-api-name', 'color-api-pre-name')
ACCENT = {'light': '#0e7490', 'dark': '#4cc9e3'}

project = 'mmseq'
author = 'the mmseq contributors'
project_copyright = '2026, the mmseq contributors'
version = release = mmseq.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton', 'sphinx_inline_tabs']
exclude_patterns = ['_site', '_build', 'images']
myst_heading_anchors = 4
myst_enable_extensions = ['html_image', 'deflist']
highlight_language = 'text'
# What a command prints is nothing to copy.
copybutton_selector = 'div:not(.highlight-text) > div.highlight pre'
# Docstrings and comments use single backticks for code, as Markdown does.
default_role = 'code'

nitpicky = True
# Imported for type checkers alone, or variables of types: they have no longer name, or no entry.
FOR_CHECKERS = (
    'Config|Base(Dataset|DecodeHead|Model|Segmentor)|Figure|mmseq.(backbones.base.Spec|datasets.own.source.Read)'
)
nitpick_ignore_regex = [('py:.*', FOR_CHECKERS)]
autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
# Methods of ours without a docstring do what upstream's or torch's documentation says.
autodoc_inherit_docstrings = False
# What stands before the colon of `Returns:` is a shape, no type to link to.
napoleon_use_rtype = False
python_maximum_signature_line_length = 120

html_theme = 'furo'
html_title = 'mmseq'
html_static_path = ['_static']
html_css_files = ['site.css']
html_js_files = [('site.js', {'defer': 'defer'})]
html_favicon = '_static/favicon.svg'
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    'light_logo': 'logo-light.svg',
    'dark_logo': 'logo-dark.svg',
    'sidebar_hide_name': True,
    'top_of_page_buttons': [],
    **{f'{mode}_css_variables': dict.fromkeys(COLOURED, accent) for mode, accent in ACCENT.items()},
}


def site_module(name: str) -> ModuleType:
    """A module of docs/_site, which is no package that anybody could import."""
    spec = importlib.util.spec_from_file_location(f'mmseq_site_{name}', HERE / '_site' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def setup(app: Sphinx) -> None:
    """Sphinx calls this; every module of docs/_site adds what it makes."""
    for name in ('sidebar', 'tabs', 'fill', 'links', 'docstrings', 'code', 'contents'):
        site_module(name).setup(app)
