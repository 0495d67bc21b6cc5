"""The whole check in a real kernel: right models pass, wrong ones get what they deserve, and the wall holds."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from grader import assets
from grader.assignment import Assignment
from grader.batch.run import Options, run_batch
from grader.homework import load_homework
from grader.homework3 import HOMEWORK
from grader.homework3.training.data import Cifar10, Size, load
from grader.training import plan as planning
from reference.vit import VisionTransformer
from tests.conftest import handwritten, notebook, solutions
from tests.homework3.training import blocks
from tests.homework3.training.blocks import small_settings
from tests.homework3.training.conftest import Trained, item_of, with_epochs

pytestmark = pytest.mark.long


def master(**replaced: str) -> str:
    return notebook(*handwritten(**replaced))


def test_the_reference_learns_and_its_heatmaps_are_drawn(trained: Trained) -> None:
    result = trained(master())
    item = item_of(result, "3c")
    assert (item.status, item.points) == ("passed", 1), item
    assert any("400 validation images right" in note for note in item.notes)
    assert result.max_score == 1, "nothing else was judged"
    (picture,) = [shown for shown in item_of(result, "3d").evidence if shown.kind == "image"]
    assert base64.b64decode(picture.data or "").startswith(b"\x89PNG")


VIT = "vision_transformer"
WRONG = {
    "ignores its input": {
        "patch_embed": solutions()["patch-embed"].replace(
            "return grid.flatten(2).transpose(1, 2)", "return grid.flatten(2).transpose(1, 2) * 0"
        )
    },
    "detached": {
        "transformer": solutions()["transformer"].replace(
            "return x, torch.stack(collected, dim=1) if return_attn else None",
            "return x.detach() * 0.01, torch.stack(collected, dim=1) if return_attn else None",
        )
    },
    "diverges": {
        "patch_embed": solutions()["patch-embed"].replace(
            "return grid.flatten(2).transpose(1, 2)",
            "self.calls = getattr(self, 'calls', 0) + 1\n"
            "        return grid.flatten(2).transpose(1, 2) * (float('nan') if self.calls > 3 else 1.0)",
        )
    },
    "raises": {
        "patch_embed": solutions()["patch-embed"].replace(
            "return grid.flatten(2).transpose(1, 2)", "raise ValueError('no patches today')"
        )
    },
}
REASONS = {
    "ignores its input": "40 of 400 validation images are right (10.0%)",
    "detached": "of 400 validation images are right",
    "diverges": "training diverged",
    "raises": "no patches today (code cell",
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_models_fail_and_say_why(trained: Trained, kind: str) -> None:
    result = trained(master(**WRONG[kind]), epochs=4)
    item = item_of(result, "3c")
    assert (item.status, item.points) == ("failed", 0), item
    assert REASONS[kind] in item.criteria[0].message


def test_a_model_that_is_far_slower_than_torchs_own_fails(trained: Trained) -> None:
    slow = solutions()["patch-embed"].replace(
        "grid: Tensor = self.project(x)", "import time; time.sleep(8.0); grid = self.project(x)"
    )
    item = item_of(trained(master(patch_embed=slow), minutes=0.05), "3c")
    assert (item.status, item.points) == ("failed", 0), item
    assert "images a second, where torch's own layers train" in item.criteria[0].message


def test_a_model_with_its_patches_scrambled_still_learns(trained: Trained) -> None:
    scrambled = solutions()["patch-embed"].replace(
        "return grid.flatten(2).transpose(1, 2)",
        "return grid.flatten(2).transpose(1, 2)[:, torch.randperm(64, generator=torch.Generator().manual_seed(1))]",
    )
    assert item_of(trained(master(patch_embed=scrambled)), "3c").status == "passed"


def test_an_altered_vision_transformer_is_not_the_one_that_is_trained(trained: Trained) -> None:
    untrained = "class VisionTransformer(nn.Module):\n    def __init__(self, *args, **kwargs):\n        raise SystemExit\n"
    result = trained(master(vision_transformer=solutions()["vision-transformer"] + "\n\n" + untrained))
    assert item_of(result, "3c").status == "passed"
    assert [flag.kind for flag in result.flags] == ["provided code altered"]


def test_provided_code_brings_its_own_imports(trained: Trained) -> None:
    few = (
        "from __future__ import annotations\nimport math\nimport torch\nimport torch.nn.functional as F\n"
        "from nltk.tokenize import word_tokenize\nfrom torch import nn"
    )
    result = trained(master(setup=few), epochs=1)
    found = str(item_of(result, "3c"))
    assert "NameError" not in found and "validation images" in found, found


def with_gpu_habits() -> str:
    """A right notebook that names its device and moves tensors there itself."""
    source = solutions()["patch-embed"].replace("grid: Tensor = self.project(x)", "grid = self.project(x.cuda())")
    assert ".cuda()" in source
    device = "import torch\nDEVICE = torch.device('cuda' if torch.cuda.is_available() else 'cpu')"
    return notebook(device, *handwritten(patch_embed=source))


def test_code_written_for_a_gpu_trains_on_the_cpu(trained: Trained) -> None:
    assert item_of(trained(with_gpu_habits()), "3c").status == "passed"


def test_names_of_the_cpu_mean_the_gpu_if_there_is_one() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch, trainer\n"
        "names = {'DEVICE': torch.device('cpu'), 'device': 'cpu', 'other': 'cpus', 'number': 1}\n"
        "made = trainer.Trainer([], names)\n"
        "made._move_devices('cuda'); assert [str(v) for v in names.values()] == ['cuda', 'cuda', 'cpus', '1'], names\n"
        "made._move_devices('cpu'); assert [str(v) for v in names.values()] == ['cpu', 'cpu', 'cpus', '1'], names\n"
    )
    inside = assets.PACKAGE / "kernel" / "inside"
    subprocess.run([sys.executable, "-c", script, str(inside)], check=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a host without a GPU")
def test_the_cpu_replaces_a_gpu_that_cannot_be_used(trained: Trained) -> None:
    item = item_of(trained(with_gpu_habits(), device="cuda"), "3c")
    assert item.status == "passed", item
    assert any("the GPU could not be used, so the CPU was" in note for note in item.notes)


def test_the_kernel_has_neither_labels_nor_files(trained: Trained, colours: Cifar10) -> None:
    spying = solutions()["patch-embed"].replace(
        "grid: Tensor = self.project(x)",
        "import gc, numpy as np, os\n"
        f"        assert not os.access({str(colours.train_file.parent)!r}, os.R_OK)\n"
        "        try:\n"
        f"            open({str(colours.train_file)!r}, 'r+b'); raise SystemExit('opened')\n"
        "        except OSError:\n"
        "            pass\n"
        "        for name in os.listdir('/proc/self/fd'):\n"
        "            try:\n"
        "                os.write(int(name), b'') if os.readlink(f'/proc/self/fd/{name}').endswith('.npy') else 0\n"
        "            except OSError:\n"
        "                continue\n"
        "        grid = self.project(x)",
    )
    assert item_of(trained(master(patch_embed=spying), epochs=16), "3c").status == "passed"


def test_ctrl_c_leaves_a_valid_result(trained: Trained) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage.startswith("training"):
            os.kill(os.getpid(), signal.SIGINT)

    # Where tests run in the background, Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = trained(master(), progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    item = item_of(result, "3c")
    assert item.status == "pending"
    assert any("interrupted" in note for note in item.notes)


def test_a_class_is_trained_by_a_batch(
    tmp_path: Path, assignment: Assignment, colours: Cifar10, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(blocks.FOLDER, str(colours.train_file.parent))
    small = replace(assignment, homework=load_homework(blocks.__name__))
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(master(), encoding="utf-8")
    (folder / "bob.ipynb").write_text(master(**WRONG["diverges"]), encoding="utf-8")
    (folder / "cyd.ipynb").write_text("no notebook", encoding="utf-8")
    outcome = run_batch(
        [folder],
        tmp_path / "out",
        with_epochs(small, 16),
        HOMEWORK.rubric.read_bytes(),
        Options(only=("3c",), training=planning.Options("always", device="cpu")),
    )
    assert (outcome.trained, outcome.lost) == (2, ())
    items = {key: item_of(result, "3c") for key, result in outcome.results.items()}
    assert [(key, items[key].points) for key in sorted(items)] == [("ada", 1), ("bob", 0), ("cyd", None)], items
    assert "diverged" in items["bob"].criteria[0].message
    assert [shown.kind for shown in item_of(outcome.results["ada"], "3d").evidence] == ["image"]


def test_the_item_is_pending_without_data(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW3_CACHE", str(tmp_path / "cache"))
    item = item_of(trained(master(), data=None), "3c")
    assert (item.status, item.points) == ("pending", None)
    assert any("grader data fetch" in note for note in item.notes)


def test_the_gpts_evidence(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW3_CACHE", str(tmp_path / "cache"))
    result = trained(master(), evidence_seconds=20.0)
    curve = item_of(result, "4f")
    assert any("learns ten dialogues" in note or "does not learn ten" in note for note in curve.notes)
    assert any("held-out dialogues went from" in note for note in curve.notes)
    assert {shown.kind for shown in curve.evidence} >= {"image", "generated_text"}
    (text,) = [
        shown.text
        for shown in item_of(result, "4g").evidence
        if shown.kind == "generated_text" and "trained here" in shown.title
    ]
    assert text is not None
    assert len(text.split()) == 51, "the start token and fifty more"


# -- checkpoints -------------------------------------------------------------------------------------------------------


def weights(colours: Cifar10, *, good: bool) -> dict[str, torch.Tensor]:
    """A state of the reference's model, trained for some steps, or not."""
    torch.manual_seed(0)
    model = VisionTransformer(**small_settings().model)
    if good:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        images = torch.from_numpy(np.array(colours.train_images)).float() / 255
        images = (images - torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)) / torch.tensor(
            [0.2470, 0.2435, 0.2616]
        ).view(1, 3, 1, 1)
        labels = torch.from_numpy(colours.train_labels.astype(np.int64))
        for step in range(60):
            chosen = torch.randperm(len(labels), generator=torch.Generator().manual_seed(step))[:64]
            loss = torch.nn.functional.cross_entropy(model(images[chosen])[0], labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def test_a_checkpoint_is_verified(trained: Trained, tmp_path: Path, colours: Cifar10) -> None:
    save_file(weights(colours, good=True), tmp_path / "vit.safetensors")
    item = item_of(trained(master(), mode="auto"), "3c")
    assert item.status == "passed", item
    assert any("verified checkpoint" in note for note in item.notes)


def test_an_untrained_checkpoint_earns_nothing(trained: Trained, tmp_path: Path, colours: Cifar10) -> None:
    save_file(weights(colours, good=False), tmp_path / "vit.safetensors")
    item = item_of(trained(master(), mode="verify"), "3c")
    assert item.points in (None, 0)
    assert any("not accepted" in note for note in item.notes)


def test_a_checkpoint_of_another_model_is_named(trained: Trained, tmp_path: Path, colours: Cifar10) -> None:
    other = weights(colours, good=False)
    other["surprise"] = torch.ones(2)
    save_file(other, tmp_path / "vit.safetensors")
    item = item_of(trained(master(), mode="verify"), "3c")
    assert any("surprise" in note for note in item.notes)


def test_verification_is_pending_without_a_checkpoint(trained: Trained) -> None:
    item = item_of(trained(master(), mode="verify"), "3c")
    assert item.status == "pending"
    assert any("vit.safetensors" in note for note in item.notes)


# -- real images -------------------------------------------------------------------------------------------------------


def test_a_few_real_images(
    trained: Trained, cifar10_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW3_CACHE", str(tmp_path / "cache"))
    some = load(cifar10_folder, size=Size(40, 10))
    item = item_of(trained(master(), data=some, epochs=10), "3c")
    assert item.status in ("passed", "failed"), item
    assert any("accuracy by epoch" in note for note in item.notes)
    assert any("of 100 validation images" in line.message for line in item.criteria)


@pytest.mark.slow
def test_all_real_images(
    tmp_path_factory: pytest.TempPathFactory,
    trained: Trained,
    cifar10_archive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tarfile

    folder = tmp_path_factory.mktemp("cifar10-whole")
    monkeypatch.setenv("HW3_CACHE", str(folder / "cache"))
    with tarfile.open(cifar10_archive) as tar:
        tar.extractall(folder, filter="data")
    result = trained(master(), data=load(folder), epochs=3)
    item = item_of(result, "3c")
    assert item.status == "passed", item
    assert any("of 10000 validation images right" in note for note in item.notes)


def test_options_decide_what_is_done(assignment: Assignment, tmp_path: Path) -> None:
    path = tmp_path / "ada.ipynb"
    path.touch()

    def action(mode: planning.Mode, device: planning.Device = "auto") -> str | None:
        options = planning.Options(mode, device=device)
        job = planning.plan(HOMEWORK.training, path, assignment.rubric, options, gpu_is_present=lambda: False)
        return job.action if job else None

    assert action("never") is None
    assert action("auto") == "nothing"
    assert action("auto", "cuda") == "train"
    assert action("always") == "train"
    assert action("verify") == "nothing"
    (tmp_path / "vit.safetensors").touch()
    assert action("auto") == action("verify") == "verify"
    assert action("always") == "train"
