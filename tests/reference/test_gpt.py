"""Tokenizer, batches, model and loss of Problem 4, and that together they learn."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from grader.homework3 import shakespeare
from reference.gpt import (
    DialogueDataset,
    DialogueGPT,
    DialogueLoss,
    MyTokenizer,
    read_dialogues,
    sample_dialogue,
    train_gpt,
)

pytestmark = pytest.mark.long

TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak!\n"


@pytest.fixture
def tokenizer(punkt):
    return MyTokenizer(TEXT)


def small_gpt(vocab_size=11, max_N=8):
    return DialogueGPT(vocab_size, max_N, dim=16, attn_dim=8, mlp_dim=32, num_heads=3, num_layers=2)


def test_vocabulary_begins_with_the_special_tokens(tokenizer):
    assert tokenizer.vocab[:3] == ["<START>", "<PAD>", "<UNK>"]
    assert tokenizer.vocab[3:] == sorted(tokenizer.vocab[3:])
    assert tokenizer.vocab_size == len(set(tokenizer.vocab)) == len(tokenizer.tok_to_id)


def test_encode_and_decode(tokenizer):
    ids = tokenizer.encode("Speak, proud Citizen!")
    assert ids.dtype == torch.int64
    assert tokenizer.decode(ids) == "<START> Speak , <UNK> Citizen !"
    assert tokenizer.encode("").tolist() == [0]


def test_batches_are_padded_on_the_right_and_masked(tokenizer, tmp_path):
    (tmp_path / "input.txt").write_text(TEXT, encoding="utf-8")
    lines = read_dialogues(tmp_path / "input.txt")
    assert [line.split(":")[0] for line in lines] == ["First Citizen", "All"]
    dataset = DialogueDataset(tokenizer, lines, max_N=10)
    assert [len(example) for example in dataset] == [10, 7]
    batch = dataset.collate_fn([dataset[0], dataset[1]])
    assert batch["input_mask"].dtype == torch.float32
    assert batch["input_mask"].sum(1).tolist() == [10, 7]
    assert (batch["input_ids"][1, 7:] == 1).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.data())
def test_logits_depend_on_all_tokens_up_to_theirs_and_on_no_later_one(T, data):
    changed = data.draw(st.integers(0, T - 1))
    model, ids = small_gpt(), torch.randint(11, (1, T))
    other = ids.clone()
    other[0, changed] = (ids[0, changed] + 1) % 11
    difference = (model(ids)[0] - model(other)[0]).abs().amax(-1)[0]
    assert (difference[:changed] == 0).all()
    assert (difference[changed:] > 0).all()


def test_generate_is_greedy_and_keeps_the_prompt():
    model, ids = small_gpt(), torch.randint(11, (3, 2))
    count = model.max_N - 1  # the last token is appended without being read
    generated = model.generate(ids, count)
    assert generated.shape == (3, 2 + count)
    assert torch.equal(generated[:, :2], ids)
    assert torch.equal(generated[:, 2], model(ids)[0][:, -1].argmax(-1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4).filter(lambda lengths: max(lengths) > 1))
def test_loss_is_the_mean_over_supervised_tokens_and_ignores_padding(lengths):
    B, T, V = len(lengths), max(lengths), 5
    mask = (torch.arange(T) < torch.tensor(lengths)[:, None]).float()
    ids = torch.where(mask == 1, torch.randint(2, V, (B, T)), 1)
    logits = torch.randn(B, T, V, requires_grad=True)
    loss = DialogueLoss()(logits, ids, mask)
    terms = [F.cross_entropy(logits[b, i], ids[b, i + 1]) for b in range(B) for i in range(lengths[b] - 1)]
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    loss.backward()
    used = F.pad(mask[:, 1:], (0, 1)) == 1
    assert torch.equal(logits.grad.abs().sum(-1) > 0, used)


def test_gpt_learns_ten_dialogues_by_heart(punkt, capsys):
    dialogues = read_dialogues(shakespeare.PATH)[:10]
    tokenizer = MyTokenizer("\n\n".join(dialogues))
    dataset = DialogueDataset(tokenizer, dialogues, max_N=40)
    loader = DataLoader(dataset, batch_size=10, collate_fn=dataset.collate_fn)
    model = small_gpt(tokenizer.vocab_size, max_N=40)
    losses = train_gpt(model, loader, tokenizer, epochs=150, lr=1e-2, sample_tokens=0)
    assert losses[0] > 3
    assert losses[-1] < 0.3
    capsys.readouterr()
    train_gpt(model, loader, tokenizer, epochs=1, max_steps=1, sample_tokens=30)
    assert "<START>" in capsys.readouterr().out
    assert len(sample_dialogue(model, tokenizer, num_tokens=30).split(" ")) == 31
