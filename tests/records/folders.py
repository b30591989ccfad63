"""Folders made and walked: paths are bytes below a root, as in the code under test."""

import os

from medanchor.records.walk import Group, Problem, walk


def make(root, *paths):
    for path in paths:
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(path)


def found(*paths, **options):
    """The paths of all records that a walk finds, in its order."""
    items = list(walk(paths, **options))
    return [os.path.join(item.folder, name) for item in items if isinstance(item, Group) for name in item.names]


def problems(*paths, **options):
    return [item for item in walk(paths, **options) if isinstance(item, Problem)]


def below(root, *paths):
    return [os.path.join(root, path) for path in paths]
