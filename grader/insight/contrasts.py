"""Words that turn the meaning of a sentence around. Two answers are only proposed as alike if they agree in these."""

from __future__ import annotations

NEGATIONS = frozenset(
    ["not", "non", "no", "never", "neither", "nor", "none", "nothing", "nobody", "nowhere", "without", "hardly", "barely"]
)

_CLASSES = {
    "more": "more greater larger bigger higher largest biggest highest large big high longer long",
    "less": "less fewer smaller lower least smallest lowest small low little few shorter",
    "up": "grow grows growing grown growth increase increases increasing increased rise rises rising improves improve",
    "down": "shrink shrinks shrinking decrease decreases decreasing decreased decay decays decaying drop drops dropping "
    "fall falls falling reduce reduces reduced reducing worsen worsens",
    "vanish": "vanish vanishes vanishing vanished disappear disappears disappearing forget forgets forgotten forgetting "
    "negligible",
    "explode": "explode explodes exploding exploded diverge diverges diverging",
    "remember": "remember remembers remembered remembering preserve preserves preserved",
    "fast": "fast faster fastest quick quicker quickly quickest speedy",
    "slow": "slow slower slowest slowly",
    "parallel": "parallel parallelized parallelizable parallelize simultaneously simultaneous concurrently",
    "sequential": "sequential sequentially serial serially",
    "constant": "constant",
    "logarithmic": "logarithmic logarithmically log",
    "linear": "linear linearly",
    "quadratic": "quadratic quadratically square squared",
    "cubic": "cubic cubically",
    "exponential": "exponential exponentially",
    "polynomial": "polynomial",
    "before": "before earlier previous previously preceding past early",
    "after": "after later next afterwards subsequent future late",
    "first": "first initial initially",
    "last": "last final",
    "above": "above exceeds exceed",
    "below": "below",
    "always": "always",
    "some": "sometimes some occasionally partly partially",
    "only": "only merely",
    "same": "same equal equally identical alike",
    "different": "different differ differs differently unequal",
    "better": "better best outperform outperforms outperformed superior win wins winning",
    "worse": "worse worst underperform underperforms inferior",
    "true": "true yes correct",
    "false": "false wrong incorrect",
    "positive": "positive",
    "negative": "negative",
    "local": "local locally near nearby",
    "global": "global globally far distant",
    "easy": "easy easier easily simple simpler cheap cheaper",
    "hard": "hard harder difficult expensive costly complex",
    "fixed": "fixed static",
    "variable": "variable dynamic",
    "row": "row rows",
    "column": "column columns",
    "maximum": "max maximum maximal maximize maximizes",
    "minimum": "min minimum minimal minimize minimizes",
    "half": "half",
    "double": "double twice doubled doubles",
}
CONTRASTS = {word: label for label, words in _CLASSES.items() for word in words.split()}
"""What each word says, by the word. Two words that say the same have the same label."""

NUMBERS = {
    "zero": "0", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10",
}  # fmt: skip

OPPOSING = ("un", "non", "in", "im", "ir", "dis")
"""Beginnings that negate the rest of a word."""

_FILLERS = """
    a an the this that these those it its they them their there here i we you he she our your my me us
    is are was were be been being am do does did has have had will would can could may might shall should must
    of in on at by to for from with as into onto than then so and or but if while because since also too very
    which who whom whose what when where how why just quite really rather such about whereas thus hence
    therefore however moreover basically essentially generally answer solution think believe overall short words
"""
FILLERS = frozenset(_FILLERS.split())
"""Words that say too little to make two answers alike."""
