"""Three small layers: a recurrent network, a convolution and a batch normalization."""

import torch
from torch import Tensor, nn


class RNNCell(nn.Module):
    """One step of a recurrent network.

    ``forward(x, h)`` takes ``x`` of shape (B, n_in) and ``h`` of shape (B, n_hidden) and returns the next state.

    What will be judged:

    * The next state is tanh(W_x x + W_h h + b), of shape (B, n_hidden).
    * W_x, W_h and b are parameters of the module, and each gets a gradient.
    """

    def __init__(self, n_in: int, n_hidden: int) -> None:
        """``n_in`` is the size of an input, ``n_hidden`` that of the state."""
        super().__init__()
        # ======= Answer START ========
        # Task: build the maps of the input and of the state.

        self.W_x = nn.Linear(n_in, n_hidden)
        self.W_h = nn.Linear(n_hidden, n_hidden, bias=False)
        # ======= Answer END ========

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Return the next state (B, n_hidden)."""
        # ======= Answer START ========
        # Task: compute the next state.

        return torch.tanh(self.W_x(x) + self.W_h(h))
        # ======= Answer END ========


class RNN(nn.Module):
    """A recurrent network over whole sequences.

    ``forward(xs)`` takes ``xs`` of shape (B, T, n_in) and returns all states, of shape (B, T, n_hidden).

    What will be judged:

    * One ``RNNCell(n_in, n_hidden)`` is applied to the inputs in order.
    * The state before the first input is zero.
    """

    def __init__(self, n_in: int, n_hidden: int) -> None:
        """``n_in`` is the size of an input, ``n_hidden`` that of the state."""
        super().__init__()
        self.n_hidden = n_hidden
        # ======= Answer START ========
        # Task: build the cell.

        self.cell = RNNCell(n_in, n_hidden)
        # ======= Answer END ========

    def forward(self, xs: Tensor) -> Tensor:
        """Return the state after each input (B, T, n_hidden)."""
        # ======= Answer START ========
        # Task: apply the cell to one input after the other.

        h = xs.new_zeros(xs.shape[0], self.n_hidden)
        states = []
        for x in xs.unbind(1):
            h = self.cell(x, h)
            states.append(h)
        return torch.stack(states, dim=1)
        # ======= Answer END ========


class Convolution(nn.Module):
    """A one-dimensional convolution without padding, with stride 1.

    ``forward(x)`` takes ``x`` of shape (B, n_in, T) and returns (B, n_out, T - size + 1).

    What will be judged:

    * Output t is a linear map, with a bias, of the inputs t to t + size - 1, the same for each t.
    """

    def __init__(self, n_in: int, n_out: int, size: int) -> None:
        """``size`` is the number of inputs that an output depends on."""
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.randn(n_out, n_in, size) / (n_in * size) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved sequences."""
        # ======= Answer START ========
        # Task: slide the kernel over the sequence.

        windows = x.unfold(2, self.size, 1)  # (B, n_in, T - size + 1, size)
        return torch.einsum("bcts,ocs->bot", windows, self.weight) + self.bias[:, None]
        # ======= Answer END ========


class BatchNorm(nn.Module):
    """Normalize each feature, by the batch in training mode and by running statistics in evaluation mode.

    ``forward(x)`` takes ``x`` of shape (B, n) and returns the same shape.

    What will be judged:

    * In training mode each feature has mean 0 and variance 1 over the batch (with ``eps`` under the root).
    * In evaluation mode the running mean and the running variance take the place of the batch's.
    * A call in training mode moves the running statistics by ``momentum`` toward the batch's; the variance is unbiased.
    """

    def __init__(self, n: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        """``n`` is the number of features."""
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.register_buffer("running_mean", torch.zeros(n))
        self.register_buffer("running_var", torch.ones(n))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized features (B, n)."""
        # ======= Answer START ========
        # Task: choose the statistics by self.training, and keep the running ones up to date.

        if not self.training:
            return (x - self.running_mean) / torch.sqrt(self.running_var + self.eps)
        mean, variance = x.mean(0), x.var(0, unbiased=False)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(x.var(0, unbiased=True), self.momentum)
        return (x - mean) / torch.sqrt(variance + self.eps)
        # ======= Answer END ========
