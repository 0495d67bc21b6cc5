"""Make examples/honest_mistakes.ipynb: the template, filled in by a student who made a few honest mistakes.

python tools/make_example.py
"""

from __future__ import annotations

from pathlib import Path

from nbformat import NotebookNode

from grader.authoring import notebooks as template

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "honest_mistakes.ipynb"

# What the student wrote in place of a right line of the solution, and so the criteria that it costs.
MISTAKES = (
    # 2a.softmax: scaled by the size of a token instead of that of a query.
    ("/ math.sqrt(self.n_hidden)", "/ math.sqrt(x.shape[-1])"),
    # 2b.heads: the same head, num_heads times.
    (
        "nn.ModuleList(AttentionHead(dim, n_hidden) for _ in range(num_heads))",
        "nn.ModuleList([AttentionHead(dim, n_hidden)] * num_heads)",
    ),
    # 3a.patches: a reshape where a transpose is needed.
    ("grid.flatten(2).transpose(1, 2)", "grid.reshape(grid.shape[0], self.num_patches, -1)"),
    # 4a.unknown: unknown words are dropped.
    (
        "[self.tok_to_id.get(token, unk) for token in word_tokenize(s)]",
        "[self.tok_to_id[token] for token in word_tokenize(s) if token in self.tok_to_id]",
    ),
    # 4d.padding: a mean over the padding, too.
    ("losses[inp_mask[:, 1:] == 1].mean()", "(losses * inp_mask[:, 1:]).mean()"),
)


def build() -> NotebookNode:
    """The master notebook with the mistakes in it, and without what only the master has."""
    notebook = template.build_master()
    students = {cell["id"] for cell in template.build_template()["cells"]}
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in students]
    for right, wrong in MISTAKES:
        cells = [cell for cell in notebook["cells"] if right in cell["source"]]
        if len(cells) != 1:
            raise SystemExit(f"{right!r} occurs in {len(cells)} cells of the master notebook, not in one")
        cells[0]["source"] = cells[0]["source"].replace(right, wrong)
    return notebook


if __name__ == "__main__":
    print(f"wrote {template.write(build(), EXAMPLE)}")
