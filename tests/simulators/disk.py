"""A disk whose power can go after any operation, which then keeps only what was fsynced, and perhaps more.

It works in a real folder, so that readers see what a running process would see, and knows beside it
what a power cut would leave: per file the content of its last fsync and any first part of what was
written since, per folder the names of its last fsync and any of the later changes, oldest first.
"""

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge_agent.update.disk import REAL_DISK

WRITING = frozenset({"write", "append", "make_folder", "link"})
"""Operations that need room."""


class PowerCut(BaseException):
    """The process is gone."""


class File:
    """Content now, and at the last fsync."""

    def __init__(self, content: bytes = b"", *, synced: bool = False) -> None:
        self.content = content
        self.synced = content if synced else b""

    def torn(self, chance: random.Random) -> bytes:
        """What may be there after a cut: what was synced, all, or the new content up to some byte, perhaps as zeros."""
        if self.content == self.synced:
            return self.content
        start = _same_bytes(self.content, self.synced)
        end = chance.randint(start, len(self.content))
        torn = self.content[:end]
        zeros = self.content[:start] + bytes(len(self.content) - start)
        return chance.choice([self.synced, self.content, torn, torn, torn, zeros])


def _same_bytes(first: bytes, second: bytes) -> int:
    """How many bytes both begin with."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


class Folder:
    """Names now, and those that a cut leaves for sure."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        self.synced: dict[str, Node] = {}


Node = File | Folder


class Change(NamedTuple):
    """A change of names that is not durable yet: all of it happens, or nothing."""

    parts: tuple[tuple[Folder, str, Node | None], ...]

    def apply(self, *, durable: bool) -> None:
        for folder, name, node in self.parts:
            names = folder.synced if durable else folder.names
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

    def touches(self, folder: Folder) -> bool:
        return any(part[0] is folder for part in self.parts)


class Operation(NamedTuple):
    """What happened on the disk."""

    number: int
    kind: str
    path: Path


Interfere = Callable[[Operation], None]
"""Called before each operation; may raise OSError (that one fails) or PowerCut (nothing works any more)."""


def cut_at(step: int) -> Interfere:
    """The power goes at the operation with this number."""

    def interfere(operation: Operation) -> None:
        if operation.number == step:
            raise PowerCut

    return interfere


class SimulatedDisk:
    """A `Disk` in `folder`."""

    def __init__(self, folder: Path, interfere: Interfere = lambda _: None) -> None:
        self.folder = folder
        self.interfere = interfere
        self.count = 0
        self.is_dead = False
        self.root = _scan(folder)
        self.changes: list[Change] = []

    # The operations

    def read(self, path: Path, max_bytes: int) -> bytes:
        if path.exists():
            self._begin("read", path)
        return REAL_DISK.read(path, max_bytes)

    def write(self, path: Path, data: bytes) -> None:
        self._write("write", path, data)

    def append(self, path: Path, data: bytes) -> None:
        self._write("append", path, data)

    def _write(self, kind: str, path: Path, data: bytes) -> None:
        failure: OSError | None = None
        try:
            self._begin(kind, path)
        except OSError as error:
            failure, data = error, data[: len(data) // 2]  # a full disk takes a part
            if error.errno != errno.ENOSPC:
                raise
        parent = self._folder(path.parent)
        getattr(REAL_DISK, kind)(path, data)
        file = parent.names.get(path.name)
        if not isinstance(file, File):
            file = File()
            self._change((parent, path.name, file))
        file.content = data if kind == "write" else file.content + data
        if failure is not None:
            raise failure

    def truncate(self, path: Path, size_bytes: int) -> None:
        self._begin("truncate", path)
        REAL_DISK.truncate(path, size_bytes)
        file = self._file(path)
        file.content = file.content[:size_bytes]

    def sync(self, path: Path) -> None:
        self._begin("sync", path)
        node = self._find(path)
        if isinstance(node, File):
            node.synced = node.content
        else:
            self._make_durable(node)

    def rename(self, source: Path, target: Path) -> None:
        self._begin("rename", target)
        REAL_DISK.rename(source, target)
        self._change((self._folder(source.parent), source.name, None), (self._folder(target.parent), target.name, self._find(source)))

    def link(self, source: Path, target: Path) -> None:
        self._begin("link", target)
        os.link(source, target)
        self._change((self._folder(target.parent), target.name, self._file(source)))

    def remove(self, path: Path) -> None:
        self._begin("remove", path)
        if path.exists():
            REAL_DISK.remove(path)
            self._change((self._folder(path.parent), path.name, None))

    def make_folder(self, path: Path) -> None:
        if path.is_dir():
            return
        if not path.parent.is_dir():
            self.make_folder(path.parent)
        self._begin("make_folder", path)
        REAL_DISK.make_folder(path)
        self._change((self._folder(path.parent), path.name, Folder()))

    def remove_folder(self, path: Path) -> None:
        self._begin("remove_folder", path)
        REAL_DISK.remove_folder(path)
        self._change((self._folder(path.parent), path.name, None))

    def _begin(self, kind: str, path: Path) -> None:
        if self.is_dead:
            raise PowerCut
        self.count += 1
        try:
            self.interfere(Operation(self.count, kind, path))
        except PowerCut:
            self.is_dead = True
            raise

    # What is there

    def _find(self, path: Path) -> Node:
        node: Node = self.root
        for name in path.relative_to(self.folder).parts:
            if not isinstance(node, Folder):
                raise NotADirectoryError(path)
            node = node.names[name]
        return node

    def _folder(self, path: Path) -> Folder:
        node = self._find(path)
        if not isinstance(node, Folder):
            raise NotADirectoryError(path)
        return node

    def _file(self, path: Path) -> File:
        node = self._find(path)
        if not isinstance(node, File):
            raise IsADirectoryError(path)
        return node

    def _change(self, *parts: tuple[Folder, str, Node | None]) -> None:
        change = Change(parts)
        change.apply(durable=False)
        self.changes.append(change)

    def _make_durable(self, folder: Folder) -> None:
        for change in [change for change in self.changes if change.touches(folder)]:
            change.apply(durable=True)
            self.changes.remove(change)

    # The cut

    def lose_power(self, chance: random.Random) -> None:
        """Make the folder what it may be after a cut; whoever still uses this disk finds it dead."""
        self.is_dead = True
        for change in self._surviving(chance):
            change.apply(durable=True)
        shutil.rmtree(self.folder)
        _write_tree(self.folder, self.root, chance, {})

    def _surviving(self, chance: random.Random) -> list[Change]:
        """Of the changes that were not durable: none, all, the first ones, or the first ones of each folder."""
        way = chance.choice(["none", "all", "first", "first per folder"])
        if way == "first per folder":
            survive: dict[int, bool] = {}
            kept = []
            for change in self.changes:
                key = id(change.parts[-1][0])
                survive[key] = survive.get(key, True) and chance.random() < 0.6
                if survive[key]:
                    kept.append(change)
            return kept
        count = {"none": 0, "all": len(self.changes)}.get(way, chance.randint(0, len(self.changes)))
        return self.changes[:count]

    def unseen(self) -> list[str]:
        """Files in the folder that are not as this disk knows them: somebody wrote past it."""
        return _differences(self.folder, self.root)


def _scan(folder: Path, seen: dict[int, File] | None = None) -> Folder:
    """What lies in a folder, as if all of it were durable; links to one file are one file."""
    seen = {} if seen is None else seen
    node = Folder()
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            node.names[entry.name] = _scan(Path(entry.path), seen)
        elif entry.is_file(follow_symlinks=False):
            number = entry.inode()
            if number not in seen:
                seen[number] = File(Path(entry.path).read_bytes(), synced=True)
            node.names[entry.name] = seen[number]
    node.synced = dict(node.names)
    return node


def _write_tree(folder: Path, node: Folder, chance: random.Random, written: dict[int, Path]) -> None:
    folder.mkdir()
    for name, child in sorted(node.synced.items()):
        path = folder / name
        if isinstance(child, Folder):
            _write_tree(path, child, chance, written)
        elif id(child) in written:
            os.link(written[id(child)], path)
        else:
            path.write_bytes(child.torn(chance))
            written[id(child)] = path


def _differences(folder: Path, node: Folder) -> list[str]:
    found = {entry.name for entry in os.scandir(folder)}
    wrong = [str(folder / name) for name in found ^ set(node.names)]
    for name in found & set(node.names):
        child, path = node.names[name], folder / name
        if isinstance(child, Folder):
            wrong += _differences(path, child)
        elif path.read_bytes() != child.content:
            wrong.append(str(path))
    return wrong


def keep_tree(folder: Path) -> Folder:
    """A folder with all its content, to be put back by `put_tree`."""
    return _scan(folder)


def put_tree(folder: Path, tree: Folder) -> None:
    """Make a folder what `keep_tree` found."""
    shutil.rmtree(folder, ignore_errors=True)
    _write_tree(folder, tree, random.Random(0), {})
