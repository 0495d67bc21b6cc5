"""Habits of other machines, such as Colab's folders and a GPU, cost a right answer nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.assignment import Assignment
from grader.kernel.session import Session
from grader.scoring.result import Result
from grader.submission.planning import make_plan
from grader.submission.reading import read_submission
from tests.conftest import changed, handwritten, keeps_all, notebook, remarks

pytestmark = pytest.mark.long

FIELD = Path(__file__).parents[1] / "field"
HEAD = "        q, k, v = self.W_Q(x)"
Graded = Callable[[str], Result]


IN_FORWARD = {
    "current device": "x = x.to(torch.cuda.current_device())\n"
    "index = torch.arange(3, device=torch.cuda.current_device())\nself.to(torch.cuda.current_device())",
    "memory statistics": "torch.cuda.reset_peak_memory_stats()\n"
    "used = torch.cuda.max_memory_allocated() / 2**20 + torch.cuda.memory_stats()['allocated_bytes.all.current']\n"
    "free, total = torch.cuda.mem_get_info()\ntorch.cuda.get_device_properties(0).total_memory",
    "timing": "start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)\n"
    "start.record()\nend.record()\ntorch.cuda.synchronize()\nstart.elapsed_time(end)",
    "tensor types": "torch.ones(2).type(torch.cuda.LongTensor)\nx = x.type('torch.cuda.FloatTensor')\n"
    "assert torch.cuda.FloatTensor([1.0]).sum() == 1",
    "Apple's GPU": "x = x.to('mps')\nself.to(torch.device('mps'))\ntorch.mps.synchronize()\ntorch.mps.empty_cache()\n"
    "torch.zeros(2, device='mps:0')",
    "streams and contexts": "with torch.cuda.device(0), torch.cuda.stream(torch.cuda.Stream()):\n    x = x.cuda(0)\n"
    "with torch.autocast('cuda', dtype=torch.float16):\n    x = x + 0\ntorch.cuda.nvtx.range_push('head')",
    "pinned memory, generators and numbers": "x = x.pin_memory().to(torch.device(0), non_blocking=True)\n"
    "g = torch.Generator(device='cuda').manual_seed(1)\nassert isinstance(g, torch.Generator)\n"
    "torch.zeros(2, device=x.get_device())\nassert isinstance(x.device, torch.device)",
    "a compiler": "@torch.compile(mode='max-autotune')\ndef softmax(t):\n    return t.softmax(-1)\n"
    "softmax(x)\ntorch.compile(self.W_Q, dynamic=True)(x)\nself.W_K.compile()",
    "a debugger": "import pdb, IPython.core.debugger\nbreakpoint()\npdb.set_trace()\nIPython.core.debugger.set_trace()",
    "a progress bar": "from tqdm.notebook import tqdm, trange\nfrom tqdm import tqdm_notebook, tnrange\n"
    "for _ in tqdm(range(2)):\n    pass\nfor _ in trange(2):\n    pass\nfor _ in tqdm_notebook([1]):\n    pass",
}


@pytest.mark.parametrize("text", IN_FORWARD.values(), ids=IN_FORWARD)
def test_habits_of_other_machines_in_graded_code(graded: Graded, text: str) -> None:
    lines = "".join(f"        {line}\n" for line in text.split("\n"))
    result = graded(notebook(*handwritten(attention_head=changed("attention-head", (HEAD, lines + HEAD)))))
    assert keeps_all(result)


PLACES = {
    "Colab's folder": "/content",
    "a folder of it": "/content/homework/3",
    "a mounted drive": "/content/drive/MyDrive/hw3",
    "Kaggle": "/kaggle/working",
    "a student's home": "/home/ada-lovelace/courses/hw3",
    "a student's Mac": "/Users/ada/Desktop/hw3",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_files_in_folders_of_other_machines(graded: Graded, place: str) -> None:
    """What the notebook itself writes there can be read again, from graded code as well."""
    start = '        self.start = "<START>"'
    write = (
        "        os.makedirs(PLACE, exist_ok=True)\n        with open(f'{PLACE}/vocabulary.json', 'w') as file:\n"
        "            json.dump(sorted(set(word_tokenize(raw_text))), file)\n"
        "        assert os.path.exists(f'{PLACE}/vocabulary.json') and 'vocabulary.json' in os.listdir(PLACE)\n"
        "        torch.save({'words': 1}, Path(PLACE) / 'weights' / 'words.pt')\n"
        "        torch.load(PLACE + '/weights/words.pt')\n"
    )
    read = ("sorted(set(word_tokenize(raw_text)))]", "json.loads((Path(PLACE) / 'vocabulary.json').read_text())]")
    log = f"        with open(os.path.join(PLACE, 'log.txt'), 'a') as log:\n            print(x.shape, file=log)\n{HEAD}"
    setup, *classes = handwritten(
        attention_head=changed("attention-head", (HEAD, log)),
        my_tokenizer=changed("my-tokenizer", (start, write + start), read),
    )
    setup += f"\nimport json, os\nfrom pathlib import Path\nPLACE = {place!r}\nos.makedirs(PLACE, exist_ok=True)\n"
    change = (
        "os.chdir(PLACE)\nwith open('notes.txt', 'w') as file:\n    file.write('x')\n"
        "assert Path(PLACE, 'notes.txt').is_file()"
    )
    result = graded(notebook(setup, change, *classes))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status != "ok"], result.cells


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_modules_in_folders_of_other_machines(graded: Graded, place: str) -> None:
    imports = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n"
    setup, head, *classes = handwritten()
    path = f"import sys\nsys.path.append('{place}')\nfrom heads import *\n"
    result = graded(notebook(setup, f"%%writefile {place}/heads.py\n{imports}{head}", path, *classes))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status != "ok"], result.cells
    assert "not installed" not in remarks(result)


def test_a_file_of_another_machine_that_is_not_there_keeps_its_name(graded: Graded) -> None:
    setup, *classes = handwritten()
    result = graded(notebook("text = open('/content/drive/MyDrive/hw3/input.txt').read()", setup, *classes))
    assert keeps_all(result)
    assert "No such file or directory: '/content/drive/MyDrive/hw3/input.txt'" in remarks(result)


def test_habits_of_other_machines_in_the_notebook(graded: Graded) -> None:
    setup, *classes = handwritten(
        attention_head=changed("attention-head", before="@torch.compile\n").replace("(nn.Module)", "(nn.Module)"),
        my_tokenizer=changed(
            "my-tokenizer",
            (
                '        self.start = "<START>"',
                "        nltk.data.path.clear()\n        nltk.download('punkt_tab', raise_on_error=True)\n"
                '        self.start = "<START>"',
            ),
        ),
    )
    cells = [
        "import nltk\nnltk.data.path = ['./nltk_data']\nnltk.download('punkt_tab', download_dir='./nltk_data')",
        setup,
        "torch.set_default_device('cuda')\ntorch.set_default_tensor_type('torch.cuda.FloatTensor')\n"
        "torch.cuda.set_device(0)\ntorch.cuda.manual_seed_all(0)\nassert torch.zeros(2).sum() == 0",
        "device = torch.accelerator.current_accelerator() or 'mps'\ntorch.accelerator.synchronize()",
        *classes,
        "model = nn.DataParallel(AttentionHead(4, 4).cuda(), device_ids=[0])\n"
        "model(torch.zeros(1, 2, 4, device=device), None)",
    ]
    result = graded(notebook(*cells))
    assert keeps_all(result)
    assert not [cell for cell in result.cells if cell.status not in ("ok", "skipped")], result.cells


@pytest.mark.parametrize("name", sorted(path.stem for path in FIELD.glob("*.ipynb")))
def test_samples_from_the_field(graded: Graded, name: str) -> None:
    assert keeps_all(graded((FIELD / f"{name}.ipynb").read_text(encoding="utf-8")))


def test_nltk_habits_in_a_kernel_that_starts_cold(tmp_path: Path, assignment: Assignment) -> None:
    path = tmp_path / "s.ipynb"
    habit = "from nltk import download\nimport nltk\nnltk.data.path = ['./nltk_data']\n"
    use = "def words():\n    download('punkt_tab', raise_on_error=True)\n    return nltk.word_tokenize('Speak, speak!')\n"
    path.write_text(notebook(habit + use + "assert len(words()) == 4"), encoding="utf-8")
    with Session(make_plan(read_submission(path), assignment.template)) as session:
        (outcome,) = session.run_cells()
    assert outcome.status == "ok", outcome
