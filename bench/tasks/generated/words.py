"""Every word list of the generated tasks; lists named UNSEEN_ occur in the shifted splits alone."""

from __future__ import annotations

from typing import NamedTuple

# sentiment

GOOD = [
    "good",
    "great",
    "fine",
    "lovely",
    "charming",
    "superb",
    "pleasant",
    "delightful",
    "excellent",
    "enjoyable",
    "clever",
    "warm",
]
BAD = [
    "bad",
    "poor",
    "dull",
    "awful",
    "weak",
    "boring",
    "horrible",
    "terrible",
    "unpleasant",
    "tedious",
    "clumsy",
    "bland",
]
WEAKLY = ("slightly", "somewhat")
STRONGLY = ("very", "really", "extremely")
NEGATORS = ("not", "never", "hardly")
ASPECTS = [
    "plot",
    "acting",
    "music",
    "ending",
    "dialogue",
    "soup",
    "bread",
    "service",
    "dessert",
    "wine",
    "room",
    "view",
]
UNSEEN_ASPECTS = ["tea", "pie", "bar", "inn", "spa", "pub"]
OPENERS = (
    "as far as i can tell ,",
    "at the end of our visit ,",
    "my friends and i agreed that",
    "all things considered ,",
)

# sentence-pair inference: modifiers of nouns and of verbs; nouns and verbs stand in taxonomy.py

ADJECTIVES = ["small", "young", "brown", "hungry"]
ADVERBS = ["quietly", "outside", "alone"]
UNSEEN_ADJECTIVES = ["old", "shy", "wet", "sad"]
UNSEEN_ADVERBS = ["now", "here", "away", "far"]

# similarity: a sentence has an agent, an action, a thing and a place; a group is a set of synonyms, and the groups of
# one scene (one row) are related; the scenes of all four stand in the same order: home, town, shore

Scenes = tuple[tuple[tuple[str, ...], ...], ...]

AGENTS: Scenes = (
    (("boy", "lad"), ("woman", "lady")),
    (("doctor", "physician"), ("lawyer", "attorney")),
    (("sailor", "seaman"), ("angler", "fisherman")),
)
ACTIONS: Scenes = (
    (("washes", "cleans"), ("breaks", "smashes")),
    (("buys", "purchases"), ("inspects", "examines")),
    (("drags", "pulls"), ("lifts", "raises")),
)
THINGS: Scenes = (
    (("sofa", "couch"), ("rug", "carpet")),
    (("car", "automobile"), ("bicycle", "bike")),
    (("boat", "vessel"), ("rope", "line")),
)
PLACES: Scenes = (
    (("cellar", "basement"), ("garden", "yard")),
    (("street", "road"), ("shop", "store")),
    (("beach", "shore"), ("harbour", "port")),
)
SETTINGS = ("again", "at noon", "on friday", "in the rain")
UNSEEN_AGENTS = ("nun", "cook", "king", "aunt")
UNSEEN_THINGS = ("net", "box", "fan", "lid")

# questions: what people do, to which things and in which places they mostly do it

NAMES = ["anna", "ben", "clara", "david", "emma", "frank", "grace", "henry"]
UNSEEN_NAMES = ["tom", "amy", "ian", "zoe"]


class Deed(NamedTuple):
    """A verb with the things it is done to and the places where it is mostly done."""

    past: str
    infinitive: str
    things: tuple[str, ...]
    places: tuple[str, ...]


DEEDS = (
    Deed("read", "read", ("letter", "book", "poem"), ("library", "school", "attic")),
    Deed("ate", "eat", ("cake", "apple", "pear"), ("kitchen", "cafe", "garden")),
    Deed("drove", "drive", ("car", "van", "truck"), ("city", "valley", "desert")),
    Deed("wore", "wear", ("coat", "hat", "scarf"), ("church", "theatre", "snow")),
    Deed("fed", "feed", ("cat", "horse", "goat"), ("barn", "yard", "field")),
)
TIMES = ("today", "again", "on monday")
UNSEEN_PLACES = ("gym", "zoo", "den", "bay")
