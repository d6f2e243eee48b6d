"""YAML is read as values: a tag of Python's in it, which would have to be run, is refused.

Cause: mmengine reads YAML with PyYAML's full loader, for which ``!!python/object/apply:os.system`` is a call. A config
in Python is a program and looks like one; a file of values does not.
Could go once mmengine reads YAML with the safe loader.
"""

from types import ModuleType
from typing import Any

from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Patch mmengine's handler when it is imported; nothing is imported here."""
    when_imported('mmengine.fileio.handlers.yaml_handler', _patch)


def _patch(module: ModuleType) -> None:
    yaml = module.yaml

    class Values(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
        """Plain values, and tuples, which mmengine writes."""

    def as_tuple(loader: Any, node: Any) -> tuple[Any, ...]:
        return tuple(loader.construct_sequence(node, deep=True))

    Values.add_constructor('tag:yaml.org,2002:python/tuple', as_tuple)

    def load_from_fileobj(self: Any, file: Any, **options: Any) -> Any:
        try:
            return yaml.load(file, **{'Loader': Values, **options})
        except yaml.YAMLError as error:
            raise ValueError(_described(error)) from error

    module.YamlHandler.load_from_fileobj = load_from_fileobj


def _described(error: Any) -> str:
    """What is wrong with a YAML file, and in which line."""
    mark, problem = getattr(error, 'problem_mark', None), getattr(error, 'problem', None)
    if problem and problem.startswith('could not determine a constructor for the tag'):
        problem = f'{problem.rpartition(" ")[2]} is more than a value, and YAML is not run; write a config in Python'
    return f'line {mark.line + 1}: {problem}' if mark else str(problem or error).partition('\n')[0]
