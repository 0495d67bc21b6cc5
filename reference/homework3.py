# ruff: noqa: E402, F401, I001
"""The notebook, cell by cell, in jupytext's percent format.

An import from `reference` stands for the source of what it names, which the notebook shows in its place. All
other imports move into the first code cell. Cells with `only="master"` are for teachers; students do not get
them. `grader.authoring.notebooks` builds the notebooks. It is long on purpose: it is read from top to bottom, as the
notebook is.
"""

# %% [markdown] id="welcome" part="0" role="provided"
# # Homework 3: attention, Transformers, a Vision Transformer and a GPT
#
# Your code goes between the markers
#
#     # ======= Answer START ========
#     # ======= Answer END ========
#
# in place of the line that raises `NotImplementedError`. The rest is provided: leave names, signatures and
# provided classes as they are. The docstring of a class says all that its code is judged by, sentence by
# sentence.
#
# The cells below each part try it out. A cell that meets a part you have not written yet says "still to
# do" and goes on. Training is quick only with a GPU: in Colab, choose one under *Runtime > Change runtime
# type* before you begin.
#
# The same cells check your answers if the course's `hw3-check` is installed: upload its file (.whl) beside this
# notebook, and run this in a cell of its own:
#
#     %pip install hw3_check-*.whl
#
# A check shows the smallest input for which your code is wrong. Grading judges more than these checks.
#
# Letters in shapes: B batch, T tokens, H heads, L layers, N patches, V vocabulary.

# %% id="setup" part="0" role="setup"
import urllib.request
from pathlib import Path

import nltk
import torch
from torch.utils.data import DataLoader

from reference.notebook import DEVICE, checked, until_done

torch.manual_seed(0)
print("training will run on", DEVICE)

# %% [markdown] id="answer-1a" part="1a" role="text-answer"
# ## Problem 1: RNNs and Transformers
#
# The RNN has h_0 = 0, no biases, and the identity as its hidden non-linearity.
#
# ### 1a
#
# Give formulas for h_2 and y_2 in terms of the weights and the inputs.

# %% [markdown] id="answer-1b" part="1b" role="text-answer"
# ### 1b
#
# The same for h_3 and y_3.

# %% [markdown] id="answer-1c" part="1c" role="text-answer"
# ### 1c
#
# The same for h_T and y_T.

# %% [markdown] id="answer-1d" part="1d" role="text-answer"
# ### 1d
#
# For a very long sequence, what becomes of the first input's part in the last output?

# %% [markdown] id="answer-1e" part="1e" role="text-answer"
# ### 1e
#
# How do the operations of a forward pass grow with T, for an RNN and for a self-attention layer? Given enough
# parallel hardware, which of the two is faster, and why?

# %% [markdown] id="answer-1f" part="1f" role="text-answer"
# ### 1f
#
# For very long sequences, which would you train and deploy, and why?

# %% [markdown] id="about-rnn" part="1" role="provided" only="master"
# ### Problem 1, in numbers
#
# The closed form of the RNN agrees with its recurrence; how much the first input still counts depends on
# the radius of W_h; and the work of attention grows with the square of the length.

# %% id="rnn" part="1" role="provided" only="master"
from reference.rnn import (
    LinearRNN,
    attention_operations,
    first_input_weight,
    output_T,
    random_rnn,
    rnn_operations,
    run,
    state_T,
)

# %% id="show-rnn" part="1" role="test" only="master"
rnn, xs = random_rnn(d_in=3, d_hidden=4, d_out=2, radius=0.9), torch.randn(6, 3, dtype=torch.float64)
states, outputs = run(rnn, xs)
assert torch.allclose(state_T(rnn, xs), states[-1])
assert torch.allclose(output_T(rnn, xs), outputs[-1])
for radius in (0.8, 1.0, 1.2):
    rnn = random_rnn(d_in=3, d_hidden=4, d_out=2, radius=radius)
    norms = [f"{first_input_weight(rnn, length).norm():.1e}" for length in (1, 10, 100)]
    print(f"radius {radius}: weight of the first input for T = 1, 10, 100:", *norms)
for length in (100, 200, 400):
    print(f"T = {length}: {rnn_operations(length):.1e} operations for an RNN,", end=" ")
    print(f"{attention_operations(length):.1e} for attention")

# %% [markdown] id="about-transformer" part="2" role="provided"
# ## Problem 2: a Transformer
#
# ### 2a. One head
#
# A mask holds 1 where token i (row) may attend to token j (column), and 0 where it may not.

# %% id="attention-head" part="2a" role="solution"
from reference.transformer import AttentionHead

# %% id="test-attention-head" part="2a" role="test"
if not checked("2a"):
    with until_done():
        attn_output, alpha = AttentionHead(dim=8, n_hidden=4)(torch.randn(2, 5, 8), None)
        assert attn_output.shape == (2, 5, 4)
        assert alpha.shape == (2, 5, 5)
        assert torch.allclose(alpha.sum(dim=-1), torch.ones(2, 5)), "the weights of each token sum to 1"
        print("AttentionHead: sizes are right")

# %% [markdown] id="about-multi-headed-attention" part="2b" role="provided"
# ### 2b. Several heads
#
# A plain loop over the heads is fast enough here.

# %% id="multi-headed-attention" part="2b" role="solution"
from reference.transformer import MultiHeadedAttention

# %% id="test-multi-headed-attention" part="2b" role="test"
if not checked("2b"):
    with until_done():
        attn_output, alphas = MultiHeadedAttention(dim=8, n_hidden=4, num_heads=3)(torch.randn(2, 5, 8), None)
        assert attn_output.shape == (2, 5, 8)
        assert alphas.shape == (2, 3, 5, 5)
        print("MultiHeadedAttention: sizes are right")

# %% [markdown] id="about-layers" part="2c" role="provided"
# ### 2c. Layers
#
# `FFN` and `AttentionResidual` are provided; read them, then stack the latter.

# %% id="attention-residual" part="2c" role="provided"
from reference.transformer import FFN, AttentionResidual

# %% id="transformer" part="2c" role="solution"
from reference.transformer import Transformer

# %% id="test-transformer-1" part="2c" role="test"
if not checked("2c"):
    with until_done():
        transformer = Transformer(dim=8, attn_dim=4, mlp_dim=16, num_heads=3, num_layers=2)
        output, no_alphas = transformer(torch.randn(2, 5, 8), None)
        assert output.shape == (2, 5, 8)
        assert no_alphas is None, "attention weights are returned only if asked for"
        print("Transformer, test 1: sizes are right")

# %% id="test-transformer-2" part="2c" role="test"
with until_done():
    transformer = Transformer(dim=8, attn_dim=4, mlp_dim=16, num_heads=3, num_layers=2)
    output, all_alphas = transformer(torch.randn(2, 5, 8), None, return_attn=True)
    assert output.shape == (2, 5, 8)
    assert all_alphas is not None
    assert all_alphas.shape == (2, 2, 3, 5, 5)
    print("Transformer, test 2: sizes are right with attention weights, too")

# %% id="test-transformer-3" part="2c" role="test"
with until_done():
    transformer = Transformer(dim=8, attn_dim=4, mlp_dim=16, num_heads=3, num_layers=2)
    to_self_and_previous = (torch.ones(5, 5).tril() - torch.ones(5, 5).tril(-2)).expand(2, 5, 5)  # (B, T, T)
    _, all_alphas = transformer(torch.randn(2, 5, 8), to_self_and_previous, return_attn=True)
    assert all_alphas is not None
    forbidden = (to_self_and_previous == 0)[:, None, None].expand_as(all_alphas)  # (B, L, H, T, T)
    assert all_alphas[forbidden].abs().max() <= 1e-6, "a token attends to one that the mask forbids"
    assert torch.allclose(all_alphas.sum(dim=-1), torch.ones(2, 2, 3, 5)), "weights of a token sum to 1"
    print("Transformer, test 3: attention follows the mask")
    print(all_alphas[0, 0, 0].detach())

# %% [markdown] id="answer-2d" part="2d" role="text-answer"
# ### 2d. Continuous inputs
#
# In two or three sentences: how can a Transformer be made to take inputs such as sound or images, which do
# not come as discrete tokens? Think of tokens, embeddings and positions, and of what is near and what is
# far.

# %% [markdown] id="about-vit" part="3" role="provided"
# ## Problem 3: a Vision Transformer
#
# ### 3a. Patches

# %% id="patch-embed" part="3a" role="solution"
from reference.vit import PatchEmbed

# %% id="test-patch-embed" part="3a" role="test"
if not checked("3a"):
    with until_done():
        patch_embed = PatchEmbed(img_size=32, patch_size=4, nin=3, nout=128)
        assert patch_embed.num_patches == 64
        assert patch_embed(torch.randn(2, 3, 32, 32)).shape == (2, 64, 128)
        print("PatchEmbed: sizes are right")

# %% [markdown] id="about-vision-transformer" part="3b" role="provided"
# ### 3b. The whole model
#
# `VisionTransformer` is provided. Read it, above all how it tells patches apart by their position.

# %% id="vision-transformer" part="3b" role="provided"
from reference.vit import VisionTransformer

# %% id="test-vision-transformer" part="3b" role="test"
with until_done():
    small_vit = VisionTransformer(
        n_channels=3,
        nout=10,
        img_size=32,
        patch_size=8,
        dim=8,
        attn_dim=4,
        mlp_dim=16,
        num_heads=3,
        num_layers=2,
    )
    class_logits, all_alphas = small_vit(torch.randn(2, 3, 32, 32), return_attn=True)
    assert class_logits.shape == (2, 10)
    assert all_alphas is not None
    assert all_alphas.shape == (2, 2, 3, 17, 17)
    print("VisionTransformer: sizes are right")

# %% [markdown] id="answer-3b" part="3b" role="text-answer"
# The positional embedding here is a table, and a table ends. Describe a positional embedding that has no
# longest sequence.

# %% [markdown] id="about-train-vit" part="3c" role="provided"
# ### 3c. Training on CIFAR-10
#
# Ten epochs take a few minutes on a GPU. The last cell also keeps the weights in `vit.safetensors`.

# %% id="vit-training-code" part="3c" role="provided"
from reference.vit import (
    CIFAR_MEAN,
    CIFAR_STD,
    cifar10_transform,
    evaluate_vit,
    load_cifar10,
    save_weights,
    train_vit,
)

# %% id="download-cifar10" part="3c" role="download"
train_set, val_set = load_cifar10("data")

# %% id="train-vit" part="3c" role="train"
with until_done():
    vit_train_loader = DataLoader(train_set, batch_size=256, shuffle=True, num_workers=2)
    vit_val_loader = DataLoader(val_set, batch_size=256, num_workers=2)
    vit = VisionTransformer(
        n_channels=3,
        nout=10,
        img_size=32,
        patch_size=4,
        dim=128,
        attn_dim=64,
        mlp_dim=128,
        num_heads=3,
        num_layers=6,
    )
    val_accuracies = train_vit(vit, vit_train_loader, vit_val_loader, epochs=10, lr=1e-3, device=DEVICE)
    save_weights(vit, "vit.safetensors")
    print(f"validation accuracy: {val_accuracies[-1]:.1%}")

# %% [markdown] id="answer-3c" part="3c" role="text-answer"
# Report your validation accuracy. It should be above 50 %.

# %% [markdown] id="about-heatmaps" part="3d" role="provided"
# ### 3d. What the class token looks at

# %% id="heatmap-code" part="3d" role="provided"
from reference.vit import class_token_heatmaps, show_heatmaps

# %% id="visualize-heatmaps" part="3d" role="visualize"
with until_done():
    if "vit" not in globals():
        raise NotImplementedError("train the Vision Transformer first")
    ten_images = torch.stack([val_set[i][0] for i in range(10)])  # (B, C, img_size, img_size)
    show_heatmaps(ten_images, class_token_heatmaps(vit, ten_images.to(DEVICE)))

# %% [markdown] id="answer-3d" part="3d" role="text-answer"
# What do you observe about the heatmaps?

# %% [markdown] id="answer-3e" part="3e" role="text-answer"
# ### 3e. Convolutional networks and Vision Transformers
#
# In a few sentences each:
#
# 1. A CNN is built to look for local patterns; a ViT is built to assume little. What does that mean for small
#    and for large datasets?
# 2. A CNN knows where things are by its structure; a ViT learns positional embeddings. What does that mean
#    for images of other sizes?

# %% [markdown] id="about-gpt" part="4" role="provided"
# ## Problem 4: DialogueGPT
#
# ### 4a. The tokenizer

# %% id="download-nltk" part="4a" role="download"
nltk.download("punkt_tab")

# %% id="my-tokenizer" part="4a" role="solution"
from reference.gpt import MyTokenizer

# %% id="test-my-tokenizer" part="4a" role="test"
if not checked("4a"):
    with until_done():
        line_tokenizer = MyTokenizer("Speak, speak! We are resolved.")
        line_ids = line_tokenizer.encode("We speak, Citizens!")
        assert line_ids.dtype == torch.int64
        assert line_ids.tolist() == [0, 7, 10, 4, 2, 3], "start, then an id for each token; Citizens is unknown"
        assert line_tokenizer.decode(line_ids) == "<START> We speak , <UNK> !"
        assert line_tokenizer.encode("").tolist() == [0]
        print("MyTokenizer: the test case passes")

# %% [markdown] id="about-dataset" part="4b" role="provided"
# ### 4b. Dataset and batches
#
# Provided; there is nothing to do here but to read.

# %% id="dialogue-dataset" part="4b" role="provided"
from reference.gpt import DialogueDataset, read_dialogues

# %% id="download-shakespeare" part="4b" role="download"
SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
if not Path("input.txt").exists():
    urllib.request.urlretrieve(SHAKESPEARE, "input.txt")
all_dialogues = read_dialogues("input.txt")
print(len(all_dialogues), "dialogues; the first:", all_dialogues[0], sep="\n")

# %% [markdown] id="about-dialogue-gpt" part="4c" role="provided"
# ### 4c. The model

# %% id="dialogue-gpt" part="4c" role="solution"
from reference.gpt import DialogueGPT

# %% id="test-dialogue-gpt" part="4c" role="test"
if not checked("4c"):
    with until_done():
        small_gpt = DialogueGPT(vocab_size=11, max_N=8, dim=8, attn_dim=4, mlp_dim=16, num_heads=3, num_layers=2)
        token_ids = torch.randint(0, 11, (2, 5))
        logits, all_alphas = small_gpt(token_ids, return_attn=True)
        assert logits.shape == (2, 5, 11)
        assert all_alphas is not None
        assert all_alphas.shape == (2, 2, 3, 5, 5)
        assert all_alphas.triu(1).abs().max() <= 1e-6, "a token attends to a later one"
        assert small_gpt.generate(token_ids, num_tokens=3).shape == (2, 8)
        print("DialogueGPT: sizes are right, and no token attends to a later one")

# %% [markdown] id="about-dialogue-loss" part="4d" role="provided"
# ### 4d. The loss

# %% id="dialogue-loss" part="4d" role="solution"
from reference.gpt import DialogueLoss

# %% id="test-dialogue-loss" part="4d" role="test"
with until_done():
    some_ids = torch.tensor([[0, 3, 4, 5], [0, 6, 1, 1]])  # the second sequence ends in padding
    some_mask = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    even_logits = torch.zeros(2, 4, 7, requires_grad=True)
    loss = DialogueLoss()(even_logits, some_ids, some_mask)
    assert loss.shape == ()
    assert torch.allclose(loss, torch.tensor(7.0).log()), "guessing evenly among 7 tokens costs log 7"
    print("DialogueLoss: a scalar, and right for an even guess")

# %% [markdown] id="answer-4e" part="4e" role="text-answer"
# ### 4e. Generation
#
# Read `DialogueGPT.generate`. Why does generating T tokens take so much longer than training on T tokens?

# %% [markdown] id="about-train-gpt" part="4f" role="provided"
# ### 4f. Training
#
# This takes about half an hour on a small GPU. To look for a mistake, train on ten dialogues first: the
# loss must fall to nearly nothing.

# %% id="gpt-training-code" part="4f" role="provided"
from reference.gpt import sample_dialogue, train_gpt

# %% id="train-gpt" part="4f" role="train"
with until_done():
    tokenizer = MyTokenizer("\n\n".join(all_dialogues))
    dialogues = DialogueDataset(tokenizer, all_dialogues, max_N=200)
    gpt_loader = DataLoader(dialogues, batch_size=32, shuffle=True, collate_fn=dialogues.collate_fn)
    gpt = DialogueGPT(
        tokenizer.vocab_size, max_N=200, dim=128, attn_dim=64, mlp_dim=128, num_heads=3, num_layers=6
    )
    gpt_losses = train_gpt(gpt, gpt_loader, tokenizer, epochs=10, lr=1e-3, device=DEVICE)

# %% [markdown] id="answer-4f" part="4f" role="text-answer"
# What do you notice about the generated text as the epochs go by?

# %% [markdown] id="about-generate" part="4g" role="provided"
# ### 4g. Fifty tokens

# %% id="visualize-generation" part="4g" role="visualize"
with until_done():
    if "gpt" not in globals():
        raise NotImplementedError("train DialogueGPT first")
    print(sample_dialogue(gpt, tokenizer, num_tokens=50))

# %% [markdown] id="answer-4g" part="4g" role="text-answer"
# Paste the output of your model here.

# %% [markdown] id="answer-4h" part="4h" role="text-answer"
# ### 4h. Nucleus sampling
#
# In two or three sentences: how does nucleus sampling work, why may it give more varied and more coherent
# text than greedy decoding, and what does it cost in speed and in quality?

# %% id="nucleus-sampling" part="4h" role="provided" only="master"
from reference.decoding import generate_nucleus, nucleus

# %% id="show-nucleus-sampling" part="4h" role="test" only="master"
print(nucleus(torch.tensor([0.5, 0.3, 0.15, 0.05]), p=0.7))
tiny_gpt = DialogueGPT(vocab_size=11, max_N=8, dim=8, attn_dim=4, mlp_dim=16, num_heads=3, num_layers=2)
assert generate_nucleus(tiny_gpt, torch.randint(0, 11, (2, 5)), num_tokens=3, p=0.9).shape == (2, 8)

# %% [markdown] id="answer-4i" part="4i" role="text-answer"
# ### 4i. A key-value cache
#
# In two or three sentences: what work does a key-value cache spare `DialogueGPT` at each step, and why
# does that matter most for long sequences?

# %% id="key-value-cache" part="4i" role="provided" only="master"
from reference.decoding import HeadCache, attend_cached, generate_cached

# %% id="show-key-value-cache" part="4i" role="test" only="master"
assert torch.equal(generate_cached(small_gpt, token_ids, 4), small_gpt.generate(token_ids, 4))

# %% [markdown] id="about-submission" part="0" role="provided"
# ## Before you submit
#
# Run all cells from the top, save the notebook, and upload the `.ipynb` file to Gradescope. The next cell checks
# every part once more.

# %% id="check-everything" part="0" role="test"
if not checked():
    print("hw3-check is not installed here; the first cell says how. You can submit without it.")
