"""Stands in for RNNCell where RNN is judged: half of the old state plus the sum of the input."""

from standins import StandIn


class RNNCell(StandIn):
    """x (B, n_in), h (B, n_hidden) -> h / 2 + sum of x."""

    names = ("n_in", "n_hidden")

    def shape(self):
        """One number, which is not used."""
        return 1, 1

    def forward(self, *args, **kwargs):
        """The next state; whoever forgets the state or the order gets other numbers."""
        x, h = self._ordered("forward", ("x", "h"), args, kwargs)
        self.record(x)
        return 0.5 * h + x.sum(-1, keepdim=True) + 0 * self.weight.sum()
