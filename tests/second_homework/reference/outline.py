# ruff: noqa: E402, F401, I001
"""The notebook of the second homework, cell by cell."""

# %% [markdown] id="welcome" part="0" role="provided"
# # Recurrence, convolution, normalization
#
# Write your code between the markers.

# %% id="setup" part="0" role="setup"
import torch

torch.manual_seed(0)

# %% id="rnn-cell" part="1a" role="solution"
from reference.layers import RNNCell

# %% id="rnn" part="1b" role="solution"
from reference.layers import RNN

# %% id="convolution" part="2a" role="solution"
from reference.layers import Convolution

# %% id="batch-norm" part="3a" role="solution"
from reference.layers import BatchNorm

# %% [markdown] id="answer-3b" part="3b" role="text-answer"
# ### 3b
#
# Why does a batch normalization behave differently in training and in evaluation mode?
