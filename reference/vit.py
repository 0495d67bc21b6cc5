"""Problem 3: a Vision Transformer, trained on CIFAR-10.

B batch, C channels, N patches, L layers, H heads. Images are squares.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reference.transformer import Transformer

CIFAR_MEAN = [0.4914, 0.4822, 0.4465]
CIFAR_STD = [0.2470, 0.2435, 0.2616]


class PatchEmbed(nn.Module):
    """Cut an image into square patches and make each a token.

    ``forward(x)`` takes ``x`` of shape (B, nin, img_size, img_size) and returns tokens of shape (B, N, nout).

    What will be judged:

    * The patches are squares of ``patch_size`` by ``patch_size`` pixels that do not overlap and together
      cover the image.
    * They come in raster order: the top row of patches first, from left to right, then the row below it.
    * Each patch is projected by one and the same linear map, with a bias, of all its pixels and channels.
    * This works for any sizes for which ``img_size`` is divisible by ``patch_size``.
    """

    def __init__(self, img_size: int, patch_size: int, nin: int, nout: int) -> None:
        """``nin`` is the number of channels of the image, ``nout`` the size of a token."""
        super().__init__()
        assert img_size % patch_size == 0, "img_size must be divisible by patch_size"
        self.img_size = img_size
        self.num_patches = (img_size // patch_size) ** 2
        # ======= Answer START ========
        # Task: define what projects a patch. nn.Conv2d spares you cutting the image up.

        self.project = nn.Conv2d(nin, nout, kernel_size=patch_size, stride=patch_size)
        # ======= Answer END ========

    def forward(self, x: Tensor) -> Tensor:
        """Return a token for each patch: (B, nin, img_size, img_size) -> (B, N, nout)."""
        assert x.shape[-2:] == (self.img_size, self.img_size), "the image is not of the size promised"
        # ======= Answer START ========
        # Task: project the patches and put them in a row, the top row of patches first.

        grid: Tensor = self.project(x)  # (B, nout, img_size / patch_size, img_size / patch_size)
        return grid.flatten(2).transpose(1, 2)  # (B, N, nout)
        # ======= Answer END ========


class VisionTransformer(nn.Module):
    """Classify an image by what a class token gathers from its patches."""

    def __init__(
        self,
        n_channels: int,
        nout: int,
        img_size: int,
        patch_size: int,
        dim: int,
        attn_dim: int,
        mlp_dim: int,
        num_heads: int,
        num_layers: int,
    ) -> None:
        """``nout`` is the number of classes; from ``dim`` on, the arguments are the Transformer's."""
        super().__init__()
        self.patch_embed = PatchEmbed(img_size, patch_size, nin=n_channels, nout=dim)
        self.pos_E = nn.Embedding(self.patch_embed.num_patches, dim)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.transformer = Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, nout))

    def forward(self, img: Tensor, return_attn: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return the logits (B, nout) and, if asked for, all attention weights (B, L, H, N+1, N+1)."""
        patches = self.patch_embed(img)  # (B, N, dim)
        positions = torch.arange(patches.shape[1], device=img.device)  # (N,)
        patches = patches + self.pos_E(positions)  # (B, N, dim)
        cls_token = self.cls_token.expand(patches.shape[0], -1, -1)  # (B, 1, dim)
        x = torch.cat([cls_token, patches], dim=1)  # (B, N+1, dim)
        x, alphas = self.transformer(x, attn_mask=None, return_attn=return_attn)
        return self.head(x[:, 0]), alphas  # (B, nout), (B, L, H, N+1, N+1)


def cifar10_transform() -> Any:
    """An image becomes a tensor whose channels have mean 0 and deviation 1 over the training set."""
    from torchvision import transforms  # noqa: PLC0415 (the model is of use without torchvision)

    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(CIFAR_MEAN, CIFAR_STD)])


def load_cifar10(folder: str = "data") -> tuple[Dataset[Any], Dataset[Any]]:
    """CIFAR-10's training and test images, downloaded on first use; the test images serve for validation."""
    from torchvision import datasets  # noqa: PLC0415

    train_set = datasets.CIFAR10(folder, train=True, download=True, transform=cifar10_transform())
    val_set = datasets.CIFAR10(folder, train=False, download=True, transform=cifar10_transform())
    return train_set, val_set


@torch.no_grad()
def evaluate_vit(
    model: nn.Module, batches: Iterable[Any], device: str = "cpu", max_batches: int | None = None
) -> float:
    """The fraction of images whose most likely class is the right one."""
    model.eval()
    right = total = 0
    for step, (images, labels) in enumerate(batches):
        if step == max_batches:
            break
        logits, _ = model(images.to(device))  # (B, nout)
        right += int((logits.argmax(dim=-1).cpu() == labels).sum())
        total += len(labels)
    return right / max(total, 1)


def train_vit(
    model: nn.Module,
    train_loader: DataLoader[Any],
    val_loader: DataLoader[Any],
    *,
    epochs: int = 10,
    lr: float = 1e-3,
    device: str = "cpu",
    max_steps: int | None = None,
) -> list[float]:
    """Train with AdamW along a cosine, and return the validation accuracy after each epoch.

    ``max_steps`` cuts every epoch, and every validation, short after so many batches.
    """
    model.to(device)
    steps = min(len(train_loader), max_steps or len(train_loader))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(epochs * steps, 1))
    accuracies = []
    for epoch in range(epochs):
        model.train()
        for step, (images, labels) in enumerate(train_loader):
            if step == steps:
                break
            logits, _ = model(images.to(device))  # (B, nout)
            loss = F.cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        accuracies.append(evaluate_vit(model, val_loader, device, max_steps))
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, validation accuracy {accuracies[-1]:.1%}")
    return accuracies


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Keep the weights in a file of plain tensors; hand it in with the notebook, if you are asked to."""
    try:
        from safetensors.torch import save_file  # noqa: PLC0415 (not everyone has it)
    except ImportError:
        print(f"{path} was not written: it needs `pip install safetensors`")
        return
    save_file({name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}, path)


@torch.no_grad()
def class_token_heatmaps(model: nn.Module, images: Tensor) -> Tensor:
    """How much the class token attends to each patch, averaged over heads and layers: (B, rows, columns)."""
    model.eval()
    _, alphas = model(images, return_attn=True)  # (B, L, H, N+1, N+1)
    heat: Tensor = alphas.flatten(1, 2)[:, :, 0, 1:].mean(dim=1)  # (B, N)
    side = int(heat.shape[1] ** 0.5)
    return heat.reshape(-1, side, side)


def show_heatmaps(images: Tensor, heatmaps: Tensor) -> None:
    """Draw each image, with its heatmap laid over it in the row below."""
    mean, std = torch.tensor(CIFAR_MEAN), torch.tensor(CIFAR_STD)
    _, axes = plt.subplots(2, len(images), figsize=(2 * len(images), 4), squeeze=False)
    for column, (image, heat) in enumerate(zip(images.cpu(), heatmaps.cpu(), strict=True)):
        pixels = (image.permute(1, 2, 0) * std + mean).clamp(0, 1)  # (img_size, img_size, C)
        extent = (0, image.shape[-1], image.shape[-2], 0)
        for row in range(2):
            axes[row, column].imshow(pixels.numpy(), extent=extent)
            axes[row, column].axis("off")
        axes[1, column].imshow(heat.numpy(), extent=extent, alpha=0.6, cmap="jet")
    plt.show()
