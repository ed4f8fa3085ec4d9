"""Topic filters: what is valid, what matches, and a tree that finds every subscriber of a topic."""

from collections.abc import Iterator
from typing import Generic, TypeVar

TOPIC_MAX_BYTES = 1024
TOPIC_MAX_LEVELS = 32
SHARED_PREFIX = "$share/"

K = TypeVar("K")
V = TypeVar("V")


def is_valid_topic(topic: str) -> bool:
    """Whether a client may publish to a topic of this form: not empty, no wildcard, no NUL, none of the broker's own (`$`)."""
    return _is_bounded(topic) and not set(topic) & {"+", "#"} and not topic.startswith("$")


def is_valid_filter(topic_filter: str) -> bool:
    """Whether wildcards stand for whole levels, and `#` only at the end."""
    if not _is_bounded(topic_filter):
        return False
    levels = topic_filter.split("/")
    hash_at_end = all("#" not in level for level in levels[:-1]) and (levels[-1] == "#" or "#" not in levels[-1])
    return hash_at_end and all(level == "+" or "+" not in level for level in levels)


def _is_bounded(text: str) -> bool:
    if not text or "\0" in text or text.count("/") >= TOPIC_MAX_LEVELS:
        return False
    return len(text.encode("utf-8", "surrogatepass")) <= TOPIC_MAX_BYTES


def filter_matches(topic_filter: str, topic: str) -> bool:
    """Whether a valid filter matches a topic; a wildcard at the start does not match topics that begin with `$`."""
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted, found = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(found) or level not in {"+", found[index]}:
            return False
    return len(wanted) == len(found)


class _Node(Generic[K, V]):
    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[K, V]] = {}
        self.values: dict[K, V] = {}


class FilterTree(Generic[K, V]):
    """Values by filter and owner; `find(topic)` gives every `(owner, value)` whose filter matches."""

    def __init__(self) -> None:
        self._root: _Node[K, V] = _Node()

    def add(self, topic_filter: str, owner: K, value: V) -> None:
        """Put a value in, replacing the owner's value under the same filter."""
        node = self._root
        for level in topic_filter.split("/"):
            node = node.children.setdefault(level, _Node())
        node.values[owner] = value

    def remove(self, topic_filter: str, owner: K) -> None:
        """Take a value out and prune branches that became empty; nothing where there is none."""
        path: list[tuple[_Node[K, V], str]] = []
        node = self._root
        for level in topic_filter.split("/"):
            if level not in node.children:
                return
            path.append((node, level))
            node = node.children[level]
        node.values.pop(owner, None)
        for parent, level in reversed(path):
            child = parent.children[level]
            if child.values or child.children:
                return
            del parent.children[level]

    def find(self, topic: str) -> Iterator[tuple[K, V]]:
        """Every owner and value whose filter matches; an owner comes once per matching filter."""
        nodes = [self._root]
        for depth, level in enumerate(topic.split("/")):
            wild = depth > 0 or not level.startswith("$")
            following: list[_Node[K, V]] = []
            for node in nodes:
                if wild and "#" in node.children:
                    yield from node.children["#"].values.items()
                if wild and "+" in node.children:
                    following.append(node.children["+"])
                if level in node.children and level not in {"+", "#"}:
                    following.append(node.children[level])
            nodes = following
        for node in nodes:
            yield from node.values.items()
            if "#" in node.children:
                yield from node.children["#"].values.items()
