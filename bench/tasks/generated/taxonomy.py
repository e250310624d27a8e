"""The small world of the inference task: which word stands for which leaves, and what is apart from what."""

from __future__ import annotations

from collections.abc import Mapping

Tree = Mapping[str, tuple[str, ...]]

NOUNS: Tree = {
    "animal": ("dog", "cat", "bird"),
    "dog": ("poodle", "beagle", "terrier"),
    "bird": ("robin", "sparrow", "owl"),
    "cat": ("lion", "tiger", "leopard"),
}
VERBS: Tree = {
    "moving": ("running", "walking", "jumping"),
    "resting": ("sleeping", "sitting", "standing"),
}


def words(tree: Tree) -> list[str]:
    """Every word of the tree, general before special."""
    return list(dict.fromkeys(word for parent, children in tree.items() for word in (parent, *children)))


def leaves(tree: Tree, word: str) -> frozenset[str]:
    """The most special words that `word` covers; a leaf covers itself. Words with no common leaf exclude each other."""
    if word not in tree:
        return frozenset({word})
    return frozenset().union(*(leaves(tree, child) for child in tree[word]))


def parents(tree: Tree, word: str) -> list[str]:
    """The words whose direct children include `word`: one, or none for a root."""
    return [parent for parent, children in tree.items() if word in children]
