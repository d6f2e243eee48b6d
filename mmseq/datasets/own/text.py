"""Text, JSON, YAML and XML files of labels, each refused in one line if it cannot be read."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmseq.datasets.checks.coco_file import not_json
from mmseq.errors import InputError


def read_text(path: Path) -> str:
    """Text in UTF-8, with or without a byte order mark.

    Raises:
        InputError: it cannot be read, or is of another encoding.
    """
    try:
        return path.read_text(encoding='utf-8-sig')
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: is not UTF-8; save it as UTF-8') from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text without blanks around them, and without empty ones."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it is empty, torn, or no object.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError(f'{path}: is empty; export or fetch it again')
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: {not_json(str(path), error)}') from error
    if not isinstance(value, dict):
        raise InputError(f'{path}: holds a {type(value).__name__} instead of an object; give a file of labels')
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: it is no YAML, or no mapping.
    """
    import yaml

    try:
        value = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f'{path}: is no YAML ({" ".join(str(error).split())}); correct it') from error
    if not isinstance(value, dict):
        raise InputError(f'{path}: holds no names and folders; give the data.yaml of a YOLO data set')
    return value


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        InputError: it is empty, torn or no XML.
    """
    try:
        return ElementTree.fromstring(path.read_bytes())
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror})') from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f'{path}: is not whole XML ({error}); export or fetch it again') from error
