"""Files that are broken, or that are odd notebooks."""


from __future__ import annotations

import json

from tests.hostile.generator.kinds import kinds
from tests.hostile.generator.payloads import (
    as_bytes,
    behind,
    changed_file,
    code_cell,
    in_each_cell,
    in_front,
    with_fields,
)

_EVIL_SPEC = {
    "kernelspec": {"name": "../../../bin/sh", "display_name": "\x1b[2J", "language": "python"},
    "language_info": {"name": "python", "version": "9" * 10000},
}
KINDS = kinds(
    "malformed",
    not_json=changed_file(lambda made: b"This is my homework.\n"),
    empty_file=changed_file(lambda made: b""),
    only_spaces=changed_file(lambda made: b" \n" * 100000),
    cut_off=changed_file(lambda made: as_bytes(made)[: len(as_bytes(made)) // 2]),
    nested_deeply=changed_file(lambda made: b"[" * 200000 + b"]" * 200000),
    nested_deeply_within=changed_file(
        lambda made: b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b", " + as_bytes(made)[1:]
    ),
    no_format_number=changed_file(lambda made: {"cells": made["cells"]}),
    wrong_format_number=with_fields(nbformat="four", nbformat_minor={"a": []}),
    old_format=changed_file(
        lambda made: {
            "nbformat": 3,
            "nbformat_minor": 0,
            "metadata": {},
            "worksheets": [
                {
                    "cells": [
                        {**{k: v for k, v in cell.items() if k != "source"}, "input": cell["source"]}
                        if cell["cell_type"] == "code"
                        else cell
                        for cell in made["cells"]
                    ]
                }
            ],
        }
    ),
    byte_order_mark=changed_file(lambda made: b"\xef\xbb\xbf" + as_bytes(made)),
    sixteen_bits=changed_file(lambda made: json.dumps(made).encode("utf-16")),
    latin_bytes=changed_file(lambda made: as_bytes(made).replace(b'"metadata"', b'"m\xe9t\xff": 1, "metadata"', 1)),
    carriage_returns=in_each_cell(lambda cell: cell.update(source="".join(cell["source"]).replace("\n", "\r\n"))),
    surrogates=changed_file(lambda made: as_bytes(made).replace(b"import", b"'\\ud800'\\nimport", 1)),
    nulls=in_each_cell(lambda cell: cell.update(source="\x00" + "".join(cell["source"]))),
    duplicate_ids=in_each_cell(lambda cell: cell.update(id="same")),
    evil_ids=in_each_cell(lambda cell: cell.update(id="../../" * 50 + "\x1b[31m")),
    sources_are_numbers=in_each_cell(lambda cell: cell.update(source=7)),
    sources_are_odd_lists=in_each_cell(lambda cell: cell.update(source=[None, {"a": 1}, "".join(cell["source"])])),
    cells_are_odd=changed_file(lambda made: made["cells"].extend([None, 3, "x", [], {}, {"cell_type": None}])),
    many_cells=changed_file(lambda made: made["cells"].extend([code_cell("pass")] * 3000)),
    outputs_that_name_accuracies_without_numbers=in_each_cell(
        lambda cell: cell.update(
            outputs=[{"output_type": "stream", "name": "stdout", "text": "accuracy " * 100_000}] * 3
        )
    ),
    huge_outputs=in_each_cell(
        lambda cell: cell.update(
            outputs=[{"output_type": "stream", "name": "stdout", "text": "o" * 200_000}] * 15
        )
    ),
    odd_outputs=in_each_cell(
        lambda cell: cell.update(
            outputs=[None, 3, {"output_type": 7}, {"output_type": "display_data", "data": {"image/png": [1]}}]
        )
    ),
    huge_markdown=changed_file(
        lambda made: made["cells"].append(
            {"cell_type": "markdown", "metadata": {}, "source": "# " + "m" * 900_000}
        )
    ),
    huge_source=behind("x = [" + "1, " * 50_000 + "]"),
    too_much_source=behind("a = b\n" * 60_000),
    costly_source=behind("(" * 90 + "1" + ")" * 90 + "\n" + "def f(a): return a + a\n" * 6_000),
    kernelspec=with_fields(metadata=_EVIL_SPEC),
    other_language=with_fields(
        metadata={"language_info": {"name": "R"}, "kernelspec": {"name": "ir", "language": "R"}}
    ),
    skip_execution_tags=in_each_cell(
        lambda cell: cell.update(metadata={"tags": ["skip-execution", "raises-exception", 3]})
    ),
    roles_claimed=in_each_cell(
        lambda cell: cell.update(metadata={"hw3": {"role": "provided", "part": "2a"}, "tags": ["hw3-answer"]})
    ),
    metadata_is_odd=in_each_cell(lambda cell: cell.update(metadata=["x", 3])),
    huge_numbers=changed_file(
        lambda made: as_bytes(made).replace(b'"execution_count": null', b'"execution_count": ' + b"9" * 5000)
    ),
    repeated_keys=changed_file(lambda made: as_bytes(made).replace(b'{"cells"', b'{"cells": [], "cells"', 1)),
    syntax_error_first=in_front("def broken(:\n  )"),
    unclosed_string=behind("x = '''" + "a" * 1000),
    magics=behind("%load_ext autoreload\n!rm -rf ~\n%%bash\nsleep 100"),
    cell_of_other_language=behind("%%javascript\nalert(1)"),
)
