"""Names in a config that nothing has: types that no registry knows, arguments that no class takes or that it lacks."""

import re
import traceback
from difflib import SequenceMatcher, get_close_matches
from itertools import pairwise

from mmseq.errors import first_line
from mmseq.explain import classes
from mmseq.explain.work import Work
from mmseq.nested import walk_named

MISS = re.compile(r'([\w.]+) is not in the (\w+)::([\w ]+) registry')
UNEXPECTED = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'")
LACKING = re.compile(r'(\w+)(?:\.__init__)?\(\) missing \d+ required [\w-]+ arguments?: (.+)')
UNTYPED = re.compile(r'must contain the key "type", but got (.+)')
BARE = re.compile(r'^(\w+)\(\) takes no arguments')
# Packages whose classes look at their arguments; of others the traceback says more.
CAREFUL = frozenset(('mmdet', 'mmseg', 'mmcv', 'mmengine', 'mmseq', 'torch', 'timm'))
# What mmcv says of a norm, a convolution or an upsampling that is not registered: it prints None for the name.
NAMELESS = re.compile(r'Cannot find \w+ in registry under')


def explain(error: BaseException, work: Work) -> str | None:
    """What is wrong with which name, and what to write; None if the error is of another kind."""
    # The text of a KeyError is the form of its argument, quotes and escapes included.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if match := MISS.search(text):
        return unknown_type(match[1], match[2], match[3], work)
    if 'None is not a callable object' in text and work.get('optim_wrapper.optimizer.type'):
        # The constructor of the optimizer looks at its signature before it looks whether there is one.
        return unknown_type(work.get('optim_wrapper.optimizer.type'), 'mmengine', 'optimizer', work)
    if match := UNTYPED.search(text):
        return untyped(match[1], work)
    if NAMELESS.search(text):
        return nameless_layer(work)
    if isinstance(error, RuntimeError) and text.startswith('Failed to get '):
        return broken_module(text.removeprefix('Failed to get '), work)
    if isinstance(error, TypeError) and (match := UNEXPECTED.search(text)):
        return unknown_argument(match[1], match[2], work)
    if isinstance(error, TypeError) and (match := LACKING.search(text)):
        return missing_arguments(match[1], match[2], work)
    if isinstance(error, TypeError) and (match := BARE.search(text)):
        where = place(match[1], work)
        return where and f'{where} takes no arguments; let its __init__ take those that the config gives'
    return None


def unknown_type(name: str, scope: str, kind: str, work: Work) -> str:
    """A type that is in no registry: where it stands, what may be meant, what may have to be imported.

    Args:
        name: the type as the config has it.
        scope: of the registry that was asked.
        kind: of the registry: ``model``, ``hook``, ``transform`` ...
        work: whose config holds it.
    """
    keys = [key for key, node in walk_named(work.tree) if node.get('type') == name]
    said = f'{f"{keys[0]}.type=" if keys else ""}{name} is not in the {scope}::{kind} registry'
    return f'{said}; {advice(name, kind, keys[0] if keys else "", work)}'


def advice(name: str, kind: str, key: str, work: Work) -> str:
    """What to write or import in place of a type that is in no registry."""
    prefix, _, short = name.rpartition('.')
    known = classes.of_kind(kind)
    same = sorted(full for full in known if full.rpartition('.')[2] == short)
    if same:
        hint = ' and take a default_scope that is its own' if key == 'model' else ''
        return f'write {" or ".join(same)}{hint}'
    if found := classes.find_source(short, work.config):
        return found
    if prefix and (missing := classes.missing_package(prefix)):
        return missing
    if other := sorted({other for other, full in classes.everything() if full.rpartition('.')[2] == short}):
        return f'it is a {other[0]}, which does not go here'
    ranked = nearest(name, known, work.scope)
    near = ', '.join(full for _, full in ranked[:3])
    listed = f'nearest: {near}'
    if ranked and ranked[0][0] > 0.8:
        return listed
    own = "a class of your own needs custom_imports=dict(imports=['my_package.my_module'])"
    return f'{listed}; {own}' if ranked else own


def nearest(name: str, known: set[str], default_scope: str) -> list[tuple[float, str]]:
    """The names that are like another one, compared without scopes, and how much: the most first, up to 1.

    Those of the same scope win where two are alike.
    """
    scope, _, short = name.rpartition('.')
    ranked = []
    for full in known:
        its_scope, _, candidate = full.rpartition('.')
        likeness = SequenceMatcher(None, short.lower(), candidate.lower()).ratio()
        if len(short) > 3 and short.lower() in candidate.lower():
            likeness = max(likeness, 0.85)
        if likeness >= 0.5:
            ranked.append((its_scope == (scope or default_scope), likeness, full))
    ranked.sort(key=lambda entry: (-entry[1] - 0.15 * entry[0], entry[2]))
    return [(likeness, full) for _, likeness, full in ranked]


def nameless_layer(work: Work) -> str | None:
    """The first norm, convolution, activation or upsampling of the model whose type nothing has."""
    for key, node in walk_named(work.get('model'), 'model'):
        name = node.get('type')
        if (
            key.endswith('_cfg')
            and isinstance(name, str)
            and classes.find(name, work.scope) is None
            and name != 'Pretrained'
        ):
            return unknown_type(name, work.get('default_scope') or 'mmengine', 'model', work)
    return None


def untyped(shown: str, work: Work) -> str:
    """A dict that should be built and has no type."""
    keys = [key for key, node in walk_named(work.tree) if 'type' not in node and str(dict(node)) == shown]
    where = f'{keys[0]}: ' if keys else ''
    return f'{where}{shown} has no type; with _delete_=True it has to be given again'


def broken_module(name: str, work: Work) -> str:
    """A type that is a path to a class, in a module that cannot be imported for another reason than absence."""
    keys = [key for key, node in walk_named(work.tree) if node.get('type') == name]
    module = name.rpartition('.')[0]
    where = f'{keys[0]}.type={name}' if keys else name
    return f'{where}: importing {module} fails; python -c "import {module}" shows why'


def unknown_argument(owner: str, argument: str, work: Work) -> str | None:
    """An argument that a class does not take: where it stands, and what is near it; None if it is not the config's."""
    # Of those that hold the argument: what is built from the class, else whatever takes no type of its own.
    holders = [(key, node) for key, node in walk_named(work.tree) if argument in node]
    for key, node in holders:
        cls = classes.find(node.get('type'), node.get('_scope_') or work.scope)
        if cls is not None and owner in classes.names_of(cls):
            taken = classes.arguments(cls) - {'self'}
            near = get_close_matches(argument, taken, 3)
            listed = f'nearest: {", ".join(near)}' if near else f'it takes {", ".join(sorted(taken))}'
            inherited = '; if a base brings it, give the dict _delete_=True' if work.inherits(argument) else ''
            return f'{key}: {node["type"]} takes no {argument!r}; {listed}{inherited}'
    untyped = [key for key, node in holders if 'type' not in node]
    return f'{untyped[0]}: {owner} takes no {argument!r}; take it out' if untyped else None


def missing_arguments(owner: str, listed: str, work: Work) -> str | None:
    """Arguments without which a class cannot be built; None if the config does not ask for the class."""
    where, names = place(owner, work), re.findall(r"'(.+?)'", listed)
    return where and f'{where} needs {", ".join(names)}; add it'


def place(owner: str, work: Work) -> str | None:
    """Where a config builds something of a class."""
    for key, node in walk_named(work.tree):
        cls = classes.find(node.get('type'), node.get('_scope_') or work.scope)
        if cls is not None and owner in classes.names_of(cls):
            return f'{key}: {node["type"]}'
    return None


def refused(error: BaseException, work: Work) -> str | None:
    """What a class of a known package says against its arguments, if it was being built from the config."""
    if not isinstance(error, (ValueError, TypeError, AssertionError)):
        return None
    cls, frames = None, [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame, inner in pairwise(frames):
        if frame.f_code.co_name == 'build_from_cfg' and 'obj_cls' in frame.f_locals:
            # What a class does once it is there, as a loop or a runner, is not about its arguments.
            cls = frame.f_locals['obj_cls'] if inner.f_code.co_name == '__init__' else None
    if cls is None or getattr(cls, '__module__', '').partition('.')[0] not in CAREFUL:
        return None
    reason = first_line(error)
    if type(error).__name__ == reason:
        # An assertion without words.
        reason = traceback.extract_tb(error.__traceback__)[-1].line or reason
    return f'{place(cls.__name__, work) or cls.__name__} cannot be built: {reason}'
