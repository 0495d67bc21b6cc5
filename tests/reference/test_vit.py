"""The Vision Transformer learns on real images, and its heatmaps lie as the images do."""

import pytest
import torch
from torch.utils.data import DataLoader

from grader.torchvision_compat import import_torchvision
from reference import vit as problem

pytestmark = pytest.mark.long

SMALL = {"dim": 16, "attn_dim": 8, "mlp_dim": 32, "num_heads": 3, "num_layers": 2}


@pytest.mark.parametrize(
    ("img_size", "patch_size", "nin"), [(4, 2, 1), (6, 3, 2), (32, 4, 3), (5, 5, 3), (3, 1, 2)]
)
def test_patches_are_projected_in_raster_order(img_size, patch_size, nin):
    embed, x = problem.PatchEmbed(img_size, patch_size, nin, 7), torch.randn(2, nin, img_size, img_size)
    tokens, rows = embed(x), img_size // patch_size
    assert tokens.shape == (2, embed.num_patches, 7)
    weight = embed.project.weight.flatten(1)
    for n in range(embed.num_patches):
        top, left = n // rows * patch_size, n % rows * patch_size
        patch = x[:, :, top : top + patch_size, left : left + patch_size].flatten(1)
        torch.testing.assert_close(tokens[:, n], patch @ weight.T + embed.project.bias)


def test_size_must_be_divisible():
    with pytest.raises(AssertionError, match="divisible"):
        problem.PatchEmbed(32, 5, 3, 8)


def test_heatmap_marks_the_patch_that_the_class_token_attends_to():
    class Looker(torch.nn.Module):
        def forward(self, images, return_attn):
            alphas = torch.zeros(len(images), 2, 3, 65, 65)
            alphas[:, :, :, 0, 1 + 8 * 2 + 5] = 1.0  # the patch in row 2, column 5
            return None, alphas

    heat = problem.class_token_heatmaps(Looker(), torch.zeros(4, 3, 32, 32))
    assert heat.shape == (4, 8, 8)
    assert (heat[:, 2, 5] == 1).all()
    assert heat.sum() == 4


def test_ten_heatmaps_are_drawn():
    model = problem.VisionTransformer(3, 10, 32, 4, **SMALL)
    images = torch.randn(10, 3, 32, 32)
    problem.show_heatmaps(images, problem.class_token_heatmaps(model, images))
    problem.plt.close("all")


def test_saved_weights_come_back(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    model, other = (problem.VisionTransformer(3, 10, 32, 8, **SMALL) for _ in range(2))
    problem.save_weights(model, tmp_path / "vit.safetensors")
    other.load_state_dict(safetensors.load_file(tmp_path / "vit.safetensors"))
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(model(image)[0], other(image)[0])


def test_trains_and_evaluates_on_cifar10(cifar10_folder):
    datasets = import_torchvision().datasets
    sets = [
        datasets.ImageFolder(cifar10_folder / split, problem.cifar10_transform())
        for split in ("train", "test")
    ]
    assert sets[0].classes[:3] == ["airplane", "automobile", "bird"]
    train_loader, val_loader = DataLoader(sets[0], 64, shuffle=True), DataLoader(sets[1], 64)
    model = problem.VisionTransformer(3, 10, 32, 4, **SMALL)
    accuracies = problem.train_vit(model, train_loader, val_loader, epochs=8, lr=3e-3, max_steps=8)
    assert len(accuracies) == 8
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    assert problem.evaluate_vit(model, train_loader) > 0.18, (
        "no better than guessing on what it was trained on"
    )
