"""Images and their label maps, found by the names of folders and files."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from mmseq.datasets.own.source import Notes
from mmseq.datasets.own.tree import Tree
from mmseq.errors import InputError

# Words in the names of folders that tell label maps from images; what is left of a name has to be equal.
IMAGE_WORDS = re.compile(r'(?:jpegimages|leftimg8bit|images?|imgs?|rgb|photos?|pictures?|raw|originals?)')
MAP_WORDS = re.compile(
    r'(?:segmentationclass(?:png|raw|aug)?|ground_?truths?|segmentations?|annotations?|annots?(?!ated)|trimaps?|targets?|labels?'
    r'|labelled|masks?|gtfine|gtcoarse|(?<![a-z])gts?(?![a-z])|(?<![a-z])segs?(?![a-z]))'
)
# Ends of file names: of label maps, of images, and of pictures that are neither.
MAP_END = re.compile(
    r'[-_. ](?:gt(?:fine|coarse)_label(?:train)?ids|gt(?:fine|coarse)_color|label_?(?:train)?ids?|masks?|labels?|lbl|l'
    r'|seg|segmentation|gt|annotation|annot|color_mask|labelcolors|class(?:es)?|target|matte|watershed_mask)$'
)
IMAGE_END = re.compile(r'[-_. ](?:leftimg8bit|image|img|rgb|sat|photo|orig(?:inal)?)$')
NEITHER = re.compile(r'(?:instance_?ids|_instances?|_polygons?|_overlay|_vis|_viz)$')
# And folders of such pictures.
ASIDE = re.compile(r'segmentationobject|visuali[sz]ation|overlay|(?<![a-z])viz(?![a-z])')
Pair = tuple[Path, Path]
Key = tuple[str, ...]


def find_pairs(tree: Tree, notes: Notes) -> list[Pair]:
    """Images with their label maps by :func:`named_pairs`, or else by :func:`guessed_pairs`."""
    return named_pairs(tree, notes) or guessed_pairs(tree, notes)


def named_pairs(tree: Tree, notes: Notes) -> list[Pair]:
    """Images with the label maps that files or folders are called after.

    Raises:
        InputError: an image has several label maps.
    """
    stems = {IMAGE_END.sub('', stem) for path in tree.images if not MAP_END.search(stem := path.stem.lower())}
    maps = dict.fromkeys(path for path in tree.images if is_map(tree, path, stems))
    images = [path for path in tree.images if path not in maps and not _is_neither(tree, path)]
    return _paired(tree, images, list(maps), notes) if maps and images else []


def guessed_pairs(tree: Tree, notes: Notes) -> list[Pair]:
    """Images with pictures of the same name beside them, or in the second of two folders."""
    return _beside(tree, notes) or _two_folders(tree, notes)


def is_map(tree: Tree, path: Path, stems: Collection[str]) -> bool:
    """Whether a picture is a label map by those of its folders, or by its name beside an image of these stems."""
    if _is_neither(tree, path):
        return False
    # The name of the only source says nothing: both are in it.
    folders = [folder.lower() for folder in tree.relative(path).parts[len(tree.roots) == 1 : -1]]
    for folder in reversed(folders):
        if MAP_WORDS.search(folder) or IMAGE_WORDS.fullmatch(folder):
            # CamVid has its images in train and label maps in trainannot; some have both in labelled_images.
            return bool(MAP_WORDS.search(folder)) and not IMAGE_WORDS.search(folder.replace('labelled', ''))
    end = MAP_END.search(path.stem.lower())
    return end is not None and path.stem.lower()[: end.start()] in stems


def _is_neither(tree: Tree, path: Path) -> bool:
    """Whether a picture shows labels instead of holding them, or holds numbers of objects."""
    folders = tree.relative(path).parts[:-1]
    return bool(NEITHER.search(path.stem.lower())) or any(ASIDE.search(folder.lower()) for folder in folders)


def key_of(tree: Tree, path: Path, is_map: bool) -> Key:
    """What the names of an image and of its label map have in common: folders and stem without telling words."""
    *folders, name = tree.relative(path).parts
    plain = [IMAGE_WORDS.sub('', MAP_WORDS.sub('', folder.lower())) for folder in folders]
    cleaned = [re.sub(r'[-_. ]+', '', folder) for folder in plain]
    end = MAP_END if is_map else IMAGE_END
    return (*(folder for folder in cleaned if folder), end.sub('', PurePosixPath(name).stem.lower()))


def _paired(tree: Tree, images: Sequence[Path], maps: Sequence[Path], notes: Notes) -> list[Pair]:
    maps = _one_kind(maps)
    by_key: dict[Key, list[Path]] = {}
    for path in maps:
        by_key.setdefault(key_of(tree, path, True), []).append(path)
    stems = Counter(path.stem.lower() for path in images)
    by_stem = {key[-1]: paths for key, paths in by_key.items()}
    unique = Counter(key[-1] for key in by_key)
    pairs: list[Pair] = []
    for image in images:
        key = key_of(tree, image, False)
        found = by_key.get(key)
        # Folders may differ where the file's name alone leaves no doubt.
        if found is None and unique[key[-1]] == 1 and stems[image.stem.lower()] == 1:
            found = by_stem[key[-1]]
        if found is None:
            notes.add('images without a label map, left out', image.name)
        elif len(found) > 1:
            raise InputError(f'{image}: has {len(found)} label maps, {found[0]} and {found[1]}; keep one')
        else:
            pairs.append((image, found[0]))
    used = {label for _, label in pairs}
    if alone := [path for path in maps if path not in used]:
        notes.add('label maps without an image, left out', alone[0].name, len(alone))
    return pairs


def _one_kind(maps: Sequence[Path]) -> list[Path]:
    """Of Cityscapes' several label maps for an image, those that are trained on."""
    for end in ('labeltrainids', 'labelids'):
        if chosen := [path for path in maps if path.stem.lower().endswith(end)]:
            return chosen
    return list(maps)


def _beside(tree: Tree, notes: Notes) -> list[Pair]:
    """Photographs with a PNG of the same name in the same folder."""
    photos = {path.with_suffix(''): path for path in tree.images if path.suffix.lower() in ('.jpg', '.jpeg')}
    maps = [path for path in tree.images if path.suffix.lower() == '.png']
    pairs = [(photos[path.with_suffix('')], path) for path in maps if path.with_suffix('') in photos]
    if pairs and (bare := len(photos) - len(pairs)):
        notes.add('images without a label map, left out', count=bare)
    return pairs


def _two_folders(tree: Tree, notes: Notes) -> list[Pair]:
    """Two folders that the user names, images first, where their names do not tell."""
    if len(tree.roots) != 2 or not all(source.is_dir() for source in tree.sources):
        return []
    images, maps = ([path for path in tree.images if path.is_relative_to(root)] for root in tree.roots)
    ends = (IMAGE_END, MAP_END)
    keys = [
        {(*path.relative_to(root).parts[:-1], end.sub('', path.stem.lower())): path for path in paths}
        for paths, root, end in zip((images, maps), tree.roots, ends)
    ]
    common = [key for key in keys[0] if key in keys[1]]
    if common and len(common) < len(images):
        notes.add('images without a label map, left out', count=len(images) - len(common))
    return [(keys[0][key], keys[1][key]) for key in common]
