"""Problem 4: a small GPT that writes dialogues after Shakespeare.

B batch, T tokens, V vocabulary, L layers, H heads.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from nltk.tokenize import word_tokenize
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from reference.transformer import Transformer


class MyTokenizer:
    """Split text into words and punctuation, and number them.

    ``encode(s)`` takes a string and ``decode(toks)`` takes a 1-D tensor, as ``encode`` returns it.

    What will be judged:

    * ``encode`` returns a 1-D tensor of dtype int64.
    * It begins with the id of ``start``, and then has one id for each token that ``word_tokenize`` finds.
    * A token outside the vocabulary gets the id of ``unk``.
    * Case and punctuation are kept.
    * The empty string gives the id of ``start`` alone.
    * ``decode`` returns a string with every token, the special ones too, joined by single spaces.
      No ids at all give the empty string.
    """

    def __init__(self, raw_text: str) -> None:
        """Take the vocabulary from ``raw_text``; the special tokens come first."""
        self.start = "<START>"
        self.pad = "<PAD>"
        self.unk = "<UNK>"
        self.vocab = [self.start, self.pad, self.unk, *sorted(set(word_tokenize(raw_text)))]
        self.tok_to_id = {token: i for i, token in enumerate(self.vocab)}
        self.vocab_size = len(self.vocab)

    def encode(self, s: str) -> Tensor:
        """Return the ids of the start token and of the tokens of ``s``: (T,)."""
        # ======= Answer START ========
        # Task: split s with word_tokenize, look the tokens up, and begin with the start token.

        unk = self.tok_to_id[self.unk]
        ids = [self.tok_to_id.get(token, unk) for token in word_tokenize(s)]
        return torch.tensor([self.tok_to_id[self.start], *ids], dtype=torch.int64)  # (T,)
        # ======= Answer END ========

    def decode(self, toks: Tensor) -> str:
        """Return the tokens that the ids (T,) stand for, joined by spaces."""
        # ======= Answer START ========
        # Task: turn the ids back into tokens and join them.

        return " ".join(self.vocab[i] for i in toks.tolist())
        # ======= Answer END ========

    def pad_examples(self, examples: Sequence[Tensor]) -> Tensor:
        """Lay examples of different lengths (T_i,) into one tensor (B, T), padded on the right."""
        pad_id = self.tok_to_id[self.pad]
        return nn.utils.rnn.pad_sequence(list(examples), batch_first=True, padding_value=pad_id)


class DialogueDataset(Dataset[Tensor]):
    """Dialogues as token ids, cut to ``max_N`` tokens."""

    def __init__(self, tokenizer: MyTokenizer, lines: Sequence[str], max_N: int) -> None:
        """``lines`` holds the dialogues."""
        self.tokenizer = tokenizer
        self.examples = [tokenizer.encode(line)[:max_N] for line in lines]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, idx: int) -> Tensor:
        return self.examples[idx]  # (T,)

    def collate_fn(self, examples: Sequence[Tensor]) -> dict[str, Tensor]:
        """Make a batch: ``input_ids`` (B, T), and ``input_mask`` (B, T) with 1 at tokens and 0 at padding."""
        input_ids = self.tokenizer.pad_examples(examples)
        input_mask = (input_ids != self.tokenizer.tok_to_id[self.tokenizer.pad]).float()
        return {"input_ids": input_ids, "input_mask": input_mask}


class DialogueGPT(nn.Module):
    """A language model: from the tokens so far, logits for the next.

    ``forward(input_ids, return_attn=False)`` takes int64 ids (B, T) and returns ``(logits, alphas)``.
    ``logits`` has shape (B, T, V).

    What will be judged:

    * The Transformer's input is a learned embedding of each token plus a learned embedding of its position.
    * There is a positional embedding for each of ``max_N`` positions, so T may be anything from 1 to
      ``max_N``.
    * The attention mask is causal: the logits at a position depend on the token there and on those before
      it, on all of them, and on no later one.
    * The mask has shape (T, T), (1, T, T) or (B, T, T), and permits at least one token in every row, also at
      padding.
    * With ``return_attn=False`` the second value returned is None.
    * With ``return_attn=True`` it is the Transformer's attention weights, of shape (B, L, H, T, T).
    * The same input gives the same output in train and in eval mode.
    """

    def __init__(
        self,
        vocab_size: int,
        max_N: int,
        dim: int,
        attn_dim: int,
        mlp_dim: int,
        num_heads: int,
        num_layers: int,
    ) -> None:
        """``max_N`` is the largest number of tokens; from ``dim`` on, the arguments are the Transformer's."""
        super().__init__()
        self.max_N = max_N
        # ======= Answer START ========
        # Task: define the embeddings of tokens and of positions.

        self.token_E = nn.Embedding(vocab_size, dim)
        self.pos_E = nn.Embedding(max_N, dim)
        # ======= Answer END ========
        self.transformer = Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, vocab_size))

    def forward(self, input_ids: Tensor, return_attn: bool = False) -> tuple[Tensor, Tensor | None]:
        """Return the logits (B, T, V) and, if asked for, the attention weights (B, L, H, T, T)."""
        # ======= Answer START ========
        # Task: make x, the embeddings (B, T, dim), and attn_mask, the causal mask (B, T, T) of 0 and 1.

        B, T = input_ids.shape
        positions = torch.arange(T, device=input_ids.device)  # (T,)
        x = self.token_E(input_ids) + self.pos_E(positions)  # (B, T, dim)
        attn_mask = torch.ones(T, T, device=input_ids.device).tril().expand(B, T, T)
        # ======= Answer END ========
        x, alphas = self.transformer(x, attn_mask=attn_mask, return_attn=return_attn)
        return self.head(x), alphas  # (B, T, V), (B, L, H, T, T)

    @torch.no_grad()
    def generate(self, input_ids: Tensor, num_tokens: int) -> Tensor:
        """Append the most likely next token ``num_tokens`` times: (B, T) -> (B, T + num_tokens)."""
        for _ in range(num_tokens):
            logits, _ = self.forward(input_ids)  # (B, T, V)
            next_id = logits[:, -1].argmax(dim=-1, keepdim=True)  # (B, 1)
            input_ids = torch.cat([input_ids, next_id], dim=1)  # (B, T + 1)
        return input_ids


class DialogueLoss(nn.Module):
    """How badly a language model predicts each next token.

    ``forward(logits, input_ids, inp_mask)`` takes logits (B, T, V), int64 ids (B, T) and a float
    mask (B, T), which is 1 at tokens and 0 at padding.
    It returns a scalar tensor.

    What will be judged:

    * The logits at position i predict the token at position i + 1.
    * The start token is no target, and the last logit vector of a sequence is not used.
    * The loss is the mean of the cross entropies over all supervised real tokens of the whole batch.
    * Padding is on the right and holds the pad id; it contributes nothing, and logits that would predict it
      get no gradient.
    * The loss is differentiable with respect to the logits.
    """

    def __init__(self) -> None:
        """There is nothing to learn here."""
        super().__init__()
        self.criterion = nn.CrossEntropyLoss(reduction="none")

    def forward(self, logits: Tensor, input_ids: Tensor, inp_mask: Tensor) -> Tensor:
        """Return the mean cross entropy of the tokens that are supervised."""
        # ======= Answer START ========
        # Task: line logits up with the tokens they predict, and average over those that are no padding.
        # self.criterion wants the vocabulary in the second dimension, or everything flattened.

        predictions = logits[:, :-1].transpose(1, 2)  # (B, V, T-1)
        losses: Tensor = self.criterion(predictions, input_ids[:, 1:])  # (B, T-1)
        return losses[inp_mask[:, 1:] == 1].mean()
        # ======= Answer END ========


def read_dialogues(path: str | Path) -> list[str]:
    """The dialogues of a text: what stands between blank lines."""
    text = Path(path).read_text(encoding="utf-8")
    return [dialogue.strip() for dialogue in text.split("\n\n") if dialogue.strip()]


def sample_dialogue(
    model: DialogueGPT, tokenizer: MyTokenizer, prompt: str = "", num_tokens: int = 50
) -> str:
    """``prompt``, continued by ``num_tokens`` tokens."""
    device = next(model.parameters()).device
    input_ids = tokenizer.encode(prompt)[None].to(device)  # (1, T)
    return tokenizer.decode(model.generate(input_ids, num_tokens)[0].cpu())


def train_gpt(
    model: DialogueGPT,
    loader: DataLoader[Tensor],
    tokenizer: MyTokenizer,
    *,
    epochs: int = 10,
    lr: float = 1e-3,
    device: str = "cpu",
    max_steps: int | None = None,
    sample_tokens: int = 50,
) -> list[float]:
    """Train with AdamW, show what the model writes after each epoch, and return the mean loss of each.

    ``max_steps`` cuts every epoch short after so many batches.
    """
    model.to(device)
    criterion = DialogueLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    history = []
    for epoch in range(epochs):
        losses = []
        for step, batch in enumerate(loader):
            if step == max_steps:
                break
            input_ids, input_mask = batch["input_ids"].to(device), batch["input_mask"].to(device)  # (B, T)
            logits, _ = model(input_ids)  # (B, T, V)
            loss = criterion(logits, input_ids, input_mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        history.append(sum(losses) / max(len(losses), 1))
        print(f"epoch {epoch + 1}: loss {history[-1]:.3f}")
        if sample_tokens:
            print(sample_dialogue(model, tokenizer, num_tokens=sample_tokens))
    return history
