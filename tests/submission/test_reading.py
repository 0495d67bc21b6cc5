"""A notebook that can be read fairly is read; all else is refused with one line that says what to do."""

import base64
import json
import os
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4

from grader.errors import NothingToGrade
from grader.submission.opening import MAX_FILE_BYTES
from grader.submission.reading import parse_notebook, read_submission

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def notebook(*sources: str) -> bytes:
    return nbformat.writes(v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])).encode()


def raw(*cells: object, **extra: object) -> bytes:
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": list(cells), **extra}).encode()


def only_source(data: bytes) -> str:
    (cell,) = parse_notebook(data, "a.ipynb").cells
    return cell.source


def test_cells_keep_their_places():
    cells = [
        v4.new_markdown_cell("# hi"),
        v4.new_code_cell("a = 1"),
        v4.new_raw_cell("r"),
        v4.new_code_cell("b = 2"),
    ]
    read = parse_notebook(nbformat.writes(v4.new_notebook(cells=cells)).encode(), "a.ipynb")
    assert [(cell.index, cell.number, cell.source) for cell in read.cells] == [
        (1, 1, "a = 1"),
        (3, 2, "b = 2"),
    ]
    assert [cell.source for cell in read.markdown] == ["# hi", "r"]
    assert read.warnings == ()
    assert len(read.sha256) == 64


REPAIRED = {
    "byte order mark": b"\xef\xbb\xbf" + notebook("x = 1"),
    "utf-16": notebook("x = 1").decode().encode("utf-16"),
    "carriage returns": raw({"cell_type": "code", "source": "x = 1\r\n"}),
    "list of lines": raw({"cell_type": "code", "source": ["x = 1"]}),
    "no metadata, no outputs, no id": raw({"cell_type": "code", "source": "x = 1"}),
    "wrong count": raw({"cell_type": "code", "source": "x = 1", "execution_count": "many", "outputs": None}),
    "NaN": b'{"nbformat": 4, "metadata": {"x": NaN}, "cells": [{"cell_type": "code", "source": "x = 1"}]}',
    "no nbformat": json.dumps({"cells": [{"source": "x = 1", "cell_type": "Code"}]}).encode(),
    "no type, but outputs": raw({"source": "x = 1", "outputs": []}),
    "one cell is no cell": raw(7, None, {"cell_type": "code", "source": "x = 1"}),
    "line break in a string": b'{"cells": [{"cell_type": "code", "source": "x = 1\n"}]}',
    "nbformat 3": json.dumps(
        {
            "nbformat": 3,
            "worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1", "language": "python"}]}],
        }
    ).encode(),
    "nbformat 1": json.dumps({"nbformat": 1, "cells": [{"cell_type": "code", "code": "x = 1"}]}).encode(),
}


@pytest.mark.parametrize("data", REPAIRED.values(), ids=REPAIRED)
def test_small_faults_are_repaired(data):
    assert only_source(data).strip() == "x = 1"


def test_lines_of_a_list_without_line_ends_are_lines():
    assert (
        only_source(raw({"cell_type": "code", "source": ["import torch", "x = 1"]})) == "import torch\nx = 1"
    )


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff\\ud800"])
def test_lone_surrogates_become_text(escape):
    data = b'{"cells": [{"cell_type": "code", "source": "x = \'' + escape.encode() + b"'\"}]}"
    assert only_source(data).encode()
    assert parse_notebook(data, "a.ipynb").warnings


def test_bytes_that_are_no_text_cost_only_themselves():
    read = parse_notebook(notebook("x = 'caf_'").replace(b"caf_", b"caf\xe9"), "a.ipynb")
    assert read.cells[0].source == "x = 'caf\ufffd'"
    assert "UTF-8" in read.warnings[0]


def test_ids_are_unique_and_tags_that_steer_execution_are_gone():
    code = {
        "cell_type": "code",
        "source": "x",
        "id": "same",
        "metadata": {"tags": ["skip-execution", "mine"]},
    }
    read = parse_notebook(raw(code, code, {**code, "id": 5}), "a.ipynb")
    assert len({cell.id for cell in read.cells}) == 3
    assert all(cell.tags == {"mine"} for cell in read.cells)
    assert any("skip-execution" in warning for warning in read.warnings)


def test_role_and_part_come_from_metadata_or_tag():
    marked = {"cell_type": "code", "source": "x", "metadata": {"hw3": {"role": "train", "part": "3c"}}}
    tagged = {"cell_type": "code", "source": "x", "metadata": {"tags": ["hw3-download"]}}
    read = parse_notebook(
        raw(marked, tagged, {"cell_type": "code", "source": "x", "metadata": {"hw3": 3}}), "a"
    )
    assert [(cell.role, cell.part) for cell in read.cells] == [
        ("train", "3c"),
        ("download", None),
        (None, None),
    ]


def test_outputs_are_evidence():
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["epoch 1\n", "accuracy 0.6\n"]},
        {"output_type": "stream", "name": "stdout", "text": "done\n"},
        {
            "output_type": "display_data",
            "data": {"image/png": base64.b64encode(PNG).decode(), "text/plain": "<Figure>"},
        },
        {"output_type": "display_data", "data": {"image/png": "no base64", "text/plain": "<Figure>"}},
        {"output_type": "execute_result", "data": {"text/plain": "5"}},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []},
        {"output_type": 3},
        "junk",
    ]
    read = parse_notebook(raw({"cell_type": "code", "source": "x", "outputs": outputs}), "a")
    ((number, found),) = read.outputs
    assert number == 1
    assert [(output.kind, output.text) for output in found] == [
        ("stream", "epoch 1\naccuracy 0.6\ndone\n"),
        ("display", ""),
        ("display", "<Figure>"),
        ("result", "5"),
        ("error", "E: v"),
    ]
    assert found[1].data == PNG


def test_outputs_are_bounded():
    flood = [{"output_type": "stream", "name": "stdout", "text": "x" * 300_000} for _ in range(50)]
    image = {"image/jpeg": base64.b64encode(b"\xff\xd8\xff" + bytes(5 * 2**20)).decode()}
    outputs = [*flood, {"output_type": "display_data", "data": image}]
    (cell,) = parse_notebook(raw({"cell_type": "code", "source": "x", "outputs": outputs}), "a").cells
    text, picture = cell.outputs
    assert len(text.text) < 101_000
    assert text.truncated
    assert picture.truncated
    assert not picture.data


def test_images_in_prose_are_kept():
    bundle = {"scan.png": {"image/png": base64.b64encode(PNG).decode()}}
    prose = {"cell_type": "markdown", "source": "![](attachment:scan.png)", "attachments": bundle}
    (cell,) = parse_notebook(raw(prose, {"cell_type": "code", "source": "x"}), "a").markdown
    assert cell.attachments[0].data == PNG


REFUSED = {
    "empty": (b"", "empty"),
    "spaces": (b"  \n", "empty"),
    "pdf": (b"%PDF-1.7\n...", "PDF"),
    "zip": (b"PK\x03\x04....", "zip"),
    "page": (b"<!DOCTYPE html><html></html>", "web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
    "script": (b"import torch\n", "it is not JSON"),
    "binary": (bytes(range(256)), "binary"),
    "cut off": (notebook("x = 1")[:-20], "is cut off"),
    "no JSON": (b'{"cells": [}', "line 1"),
    "merge conflict": (b'{\n<<<<<<< HEAD\n "a": 1\n=======\n "a": 2\n>>>>>>> b\n}', "merge conflict"),
    "a list": (b"[1, 2]", "not a notebook"),
    "other JSON": (b'{"name": "x"}', "no notebook cells"),
    "no cells": (raw(), "no cells"),
    "only prose": (raw({"cell_type": "markdown", "source": "hi"}), "no code cells"),
    "only comments": (notebook("# TODO", "  \n\n# more"), "only comments"),
    "deep": (b'{"cells": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
    "deep objects": (b'{"a": ' * 200_000 + b"1" + b"}" * 200_000, "nested too deeply"),
    "huge number": (b'{"cells": ' + b"9" * 5000 + b"}", "notebook"),
    "many values": (b'{"cells": [' + b"0," * 10_000_001 + b"0]}", "ten million"),
    "many cells": (raw(*[{"cell_type": "markdown"}] * 10_001), "cells"),
    "much code": (notebook("x = '" + "y" * 1_000_001 + "'"), "characters"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_notebook_is_refused_in_one_line(data, reason):
    with pytest.raises(NothingToGrade) as refusal:
        parse_notebook(data, "hw3\n.ipynb")
    message = str(refusal.value)
    assert message.startswith("hw3 .ipynb: ")
    assert reason in message
    assert "\n" not in message


def test_a_script_is_refused_by_its_name():
    with pytest.raises(NothingToGrade, match=r"is a \.py file.*ipynb"):
        parse_notebook(b"x = 1", "homework3.py")


def test_files_that_are_no_files_are_refused(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "loop.ipynb").symlink_to(tmp_path / "loop.ipynb")
    (tmp_path / "big.ipynb").touch()
    os.truncate(tmp_path / "big.ipynb", MAX_FILE_BYTES + 10)
    cases = [
        (tmp_path / "folder", "Nothing was handed in"),
        (tmp_path / "none.ipynb", "no such file"),
        (tmp_path / "pipe.ipynb", "pipe"),
        (tmp_path / "loop.ipynb", "symbolic link"),
        (tmp_path / "big.ipynb", "256 MB"),
        (tmp_path / ("n" * 300), "cannot be read"),
        (tmp_path / "nul\0.ipynb", "cannot be read"),
        (Path("/dev/zero"), "device"),
    ]
    for path, reason in cases:
        with pytest.raises(NothingToGrade, match=reason):
            read_submission(path)


def test_a_link_to_a_notebook_is_read(tmp_path: Path):
    (tmp_path / "real.ipynb").write_bytes(notebook("x = 1"))
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    assert read_submission(tmp_path / "link.ipynb").name == "link.ipynb"


quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def reads_or_refuses(data: bytes) -> None:
    try:
        read = parse_notebook(data, "a.ipynb")
    except NothingToGrade as error:
        assert "\n" not in str(error)
    else:
        assert all(cell.source.encode() is not None for cell in read.cells)


@quick
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data):
    reads_or_refuses(data)


SEED = nbformat.writes(
    v4.new_notebook(
        metadata={"kernelspec": {"name": "x", "display_name": "x", "language": "python"}},
        cells=[
            v4.new_markdown_cell("text", attachments={"a.png": {"image/png": "AAAA"}}),
            v4.new_code_cell("x = 1\nprint(x)", outputs=[v4.new_output("stream", text="1\n")]),
        ],
    )
).encode()


@quick
@given(st.lists(st.tuples(st.integers(0, len(SEED)), st.integers(0, 6), st.binary(max_size=6)), max_size=6))
def test_mutilated_notebooks_are_read_or_refused(cuts):
    data = SEED
    for position, length, instead in cuts:
        data = data[:position] + instead + data[position + length :]
    reads_or_refuses(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("cell_type", "source", "metadata", "id", "outputs", "attachments")
some_cells = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FIELDS, json_values),
        "cell_type": st.sampled_from(["code", "markdown", "raw"]) | json_values,
        "outputs": json_values
        | st.lists(
            st.fixed_dictionaries(
                {"output_type": st.sampled_from(["stream", "display_data", "error", "pyout"])},
                optional={
                    "data": json_values,
                    "text": json_values,
                    "traceback": json_values,
                    "png": json_values,
                },
            ),
            max_size=3,
        ),
    },
)


@quick
@given(st.lists(some_cells | json_values, max_size=4), json_values)
def test_cells_of_any_shape_are_read_or_refused(cells, metadata):
    reads_or_refuses(raw(*cells, metadata=metadata))
