"""Right solutions of Homework 3 as independent people write them: each decision is made by chance, common habits more often.

A text is a small grammar. ``⟦a‖b‖c⟧`` is one of its alternatives, the first the most likely; they may be nested. ``{{q}}``
is a name that one person uses throughout. What comes out are the regions that students write in the classes of the homework.
"""

from __future__ import annotations

import random
import re

_CHOICE = re.compile("⟦([^⟦⟧]*)⟧")
_NAME = re.compile(r"\{\{(\w+)\}\}")

NAMES: dict[str, tuple[str, ...]] = {
    "q": ("q", "Q", "query", "queries"),
    "k": ("k", "K", "key", "keys"),
    "v": ("v", "V", "value", "values"),
    "scores": ("scores", "score", "attn_scores", "s", "logits", "att", "sim"),
    "mask": ("mask", "m", "keep", "allowed"),
    "heads": ("heads", "attn_heads", "attention_heads", "head_list", "hs"),
    "out": ("W_O", "out", "linear", "proj", "fc", "output_proj"),
    "outs": ("outputs", "outs", "head_outputs", "results", "all_out"),
    "als": ("alphas", "all_alphas", "attns", "weights", "alpha_list"),
    "o": ("o", "out", "output", "h_out"),
    "a": ("a", "alpha", "attn", "w"),
    "head": ("head", "h", "attn_head", "hd"),
    "layers": ("layers", "blocks", "layer_list", "stack", "encoder"),
    "layer": ("layer", "block", "l", "lay"),
    "conv": ("proj", "conv", "project", "patch_proj", "embed"),
    "tokens": ("tokens", "toks", "words", "token_list"),
    "ids": ("ids", "token_ids", "indices", "result"),
    "tok": ("token", "t", "tok", "w"),
    "tE": ("token_embedding", "tok_emb", "embed", "token_E", "wte"),
    "pE": ("pos_embedding", "pos_emb", "position", "pos_E", "wpe"),
    "B": ("B", "b", "batch_size", "bs"),
    "T": ("T", "t", "seq_len", "n"),
    "pos": ("positions", "pos", "position_ids", "idx"),
    "pred": ("preds", "pred", "shift_logits", "logits_", "predictions"),
    "target": ("targets", "target", "labels", "shift_labels", "y"),
    "loss": ("loss", "losses", "l", "per_token_loss", "ce"),
    "lm": ("mask", "m", "shift_mask", "target_mask", "valid"),
}

_HEAD = """
⟦{{q}}, {{k}}, {{v}} = self.W_Q(x), self.W_K(x), self.W_V(x)‖{{q}} = self.W_Q(x)
{{k}} = self.W_K(x)
{{v}} = self.W_V(x)‖{{k}} = self.W_K(x)
{{q}} = self.W_Q(x)
{{v}} = self.W_V(x)‖{{k}}, {{q}}, {{v}} = self.W_K(x), self.W_Q(x), self.W_V(x)‖{{q}}, {{k}}, {{v}} = [w(x) for w in (self.W_Q, self.W_K, self.W_V)]⟧
⟦‖‖assert {{q}}.shape[-1] == self.n_hidden, f"query size {{{q}}.shape[-1]}"‖B, T, D = {{q}}.shape‖print("shapes: %s" % str({{q}}.shape))⟧
⟦{{scores}} = ⟦⟦{{q}} @ {{k}}.transpose(⟦-2, -1‖1, 2‖-1, -2‖2, 1⟧)‖torch.matmul({{q}}, {{k}}.transpose(⟦-2, -1‖1, 2‖-1, -2⟧))‖torch.bmm({{q}}, {{k}}.transpose(⟦1, 2‖2, 1‖-1, -2⟧))‖{{q}} @ {{k}}.permute(0, 2, 1)‖torch.einsum("⟦bid,bjd->bij‖bqd,bkd->bqk‖btn,bsn->bts⟧", {{q}}, {{k}})‖{{q}} @ {{k}}.mT‖{{q}}.matmul({{k}}.swapaxes(1, 2))‖torch.matmul({{k}}, {{q}}.transpose(1, 2)).transpose(1, 2)⟧⟧ ⟦/ math.sqrt(self.n_hidden)‖/ (self.n_hidden ** 0.5)‖/ math.sqrt({{k}}.size(-1))‖/ {{q}}.shape[-1] ** 0.5‖* self.n_hidden ** -0.5‖/ torch.sqrt(torch.tensor(self.n_hidden, dtype=torch.float32))‖* (1.0 / math.sqrt(self.n_hidden))⟧‖{{scores}} = ⟦{{q}} @ {{k}}.transpose(-2, -1)‖torch.bmm({{q}}, {{k}}.transpose(1, 2))‖torch.einsum("bik,bjk->bij", {{q}}, {{k}})⟧
⟦{{scores}} = {{scores}} / ⟦math.sqrt(self.n_hidden)‖self.n_hidden ** 0.5‖({{q}}.size(-1) ** 0.5)⟧‖{{scores}} /= math.sqrt(self.n_hidden)‖{{scores}} *= self.n_hidden ** -0.5‖scale = ⟦math.sqrt(self.n_hidden)‖self.n_hidden ** 0.5⟧
{{scores}} = {{scores}} / scale⟧‖d_k = ⟦{{k}}.size(-1)‖self.n_hidden‖{{q}}.shape[2]⟧
{{scores}} = ⟦torch.matmul({{q}}, {{k}}.transpose(-2, -1))‖{{q}} @ {{k}}.transpose(1, 2)⟧ / ⟦math.sqrt(d_k)‖d_k ** 0.5⟧‖{{q}} = {{q}} ⟦/ math.sqrt(self.n_hidden)‖* self.n_hidden ** -0.5⟧
{{scores}} = ⟦{{q}} @ {{k}}.transpose(1, 2)‖torch.bmm({{q}}, {{k}}.transpose(-1, -2))⟧⟧
⟦if attn_mask is not None:
    ⟦{{scores}} = {{scores}}.masked_fill(⟦attn_mask == 0‖~attn_mask.bool()‖attn_mask < 0.5‖attn_mask.eq(0)‖attn_mask.bool().logical_not()‖attn_mask != 1⟧, ⟦float("-inf")‖-1e9‖-math.inf‖-torch.inf‖-1e20‖torch.finfo({{scores}}.dtype).min⟧)‖{{scores}} = torch.where(⟦attn_mask == 0‖~attn_mask.bool()⟧, ⟦torch.tensor(-1e9)‖-torch.inf‖torch.full_like({{scores}}, -1e9)⟧, {{scores}})‖{{scores}} = torch.where(⟦attn_mask == 1‖attn_mask.bool()‖attn_mask > 0⟧, {{scores}}, ⟦-1e9‖float("-inf")‖torch.full_like({{scores}}, float("-inf"))⟧)‖{{scores}} = {{scores}} + (⟦1‖1.0⟧ - attn_mask) * -1e9‖{{scores}} = {{scores}} - 1e9 * (1 - attn_mask)‖{{mask}} = ⟦attn_mask == 0‖~attn_mask.bool()‖attn_mask.to(torch.bool).logical_not()⟧
    {{scores}} = {{scores}}.masked_fill({{mask}}, ⟦float("-inf")‖-1e9‖-math.inf⟧)‖{{scores}}.masked_fill_(attn_mask == 0, ⟦float("-inf")‖-1e9⟧)‖{{scores}}[attn_mask == 0] = ⟦-1e9‖float("-inf")⟧‖{{scores}} = {{scores}} + torch.log(attn_mask)⟧‖if attn_mask is None:
    attn_mask = torch.ones_like({{scores}})
⟦{{scores}} = {{scores}}.masked_fill(attn_mask == 0, ⟦float("-inf")‖-1e9⟧)‖{{scores}} = torch.where(attn_mask == 1, {{scores}}, -torch.inf)⟧‖{{scores}} = {{scores}} if attn_mask is None else {{scores}}.masked_fill(attn_mask == 0, ⟦float("-inf")‖-1e9⟧)⟧
alpha = ⟦F.softmax({{scores}}, dim=⟦-1‖2⟧)‖torch.softmax({{scores}}, dim=⟦-1‖2⟧)‖{{scores}}.softmax(⟦dim=-1‖-1‖2⟧)‖nn.Softmax(dim=-1)({{scores}})‖nn.functional.softmax({{scores}}, ⟦-1‖dim=-1⟧)‖F.softmax({{scores}} - {{scores}}.max(dim=-1, keepdim=True).values, dim=-1)‖torch.exp({{scores}} - torch.logsumexp({{scores}}, dim=-1, keepdim=True))⟧
⟦attn_output = ⟦alpha @ {{v}}‖torch.matmul(alpha, {{v}})‖torch.bmm(alpha, {{v}})‖torch.einsum("bij,bjd->bid", alpha, {{v}})‖alpha.matmul({{v}})‖alpha.bmm({{v}})⟧‖{{o}} = ⟦alpha @ {{v}}‖torch.matmul(alpha, {{v}})⟧
attn_output = {{o}}⟧
"""

_HEADS_MADE = """
⟦‖‖self.num_heads = num_heads‖self.num_heads = num_heads
self.n_hidden = n_hidden‖self.dim = dim⟧
⟦self.{{heads}} = nn.ModuleList(⟦[AttentionHead(⟦dim, n_hidden‖dim=dim, n_hidden=n_hidden⟧) for ⟦_‖i⟧ in range(num_heads)]‖AttentionHead(dim, n_hidden) for _ in range(num_heads)⟧)‖self.{{heads}} = nn.ModuleList()
for ⟦_‖i⟧ in range(num_heads):
    self.{{heads}}.append(AttentionHead(dim, n_hidden))‖{{hs}} = []
for ⟦i‖_⟧ in range(num_heads):
    {{hs}}.append(AttentionHead(dim, n_hidden))
self.{{heads}} = nn.ModuleList({{hs}})⟧
⟦self.{{out}} = nn.Linear(⟦num_heads * n_hidden‖n_hidden * num_heads⟧, dim⟦‖‖, bias=False‖, bias=True⟧)‖concat_dim = ⟦num_heads * n_hidden‖n_hidden * num_heads⟧
self.{{out}} = nn.Linear(concat_dim, dim)‖self.{{out}} = nn.Linear(in_features=n_hidden * num_heads, out_features=dim)⟧
⟦‖‖‖nn.init.xavier_uniform_(self.{{out}}.weight)⟧
"""

_HEADS_RUN = """
⟦{{outs}}⟦, {{als}} = [], []‖ = []
{{als}} = []⟧
for {{head}} in self.{{heads}}:
    {{o}}, {{a}} = {{head}}(x, ⟦attn_mask‖attn_mask=attn_mask⟧)
    {{outs}}.append({{o}})
    {{als}}.append({{a}}⟦‖‖.unsqueeze(1)!⟧)
⟦attn_output = self.{{out}}(torch.cat({{outs}}, ⟦dim=-1‖dim=2‖-1⟧))‖{{o}} = torch.cat({{outs}}, dim=-1)
attn_output = self.{{out}}({{o}})‖concatenated = torch.⟦cat‖concat⟧({{outs}}, dim=⟦-1‖2⟧)
attn_output = self.{{out}}(concatenated)⟧
⟦alphas = torch.STACK({{als}}, dim=1)
return attn_output, alphas‖return attn_output, torch.STACK({{als}}, dim=1)‖return attn_output, torch.STACK({{als}}, 1)⟧‖{{outs}} = [{{head}}(x, attn_mask) for {{head}} in self.{{heads}}]
⟦attn_output = torch.cat(⟦[{{o}}[0] for {{o}} in {{outs}}]‖[{{o}} for {{o}}, _ in {{outs}}]⟧, dim=-1)
alphas = torch.stack(⟦[{{o}}[1] for {{o}} in {{outs}}]‖[{{a}} for _, {{a}} in {{outs}}]⟧, dim=1)
return self.{{out}}(attn_output), alphas‖alphas = torch.stack([{{a}} for _, {{a}} in {{outs}}], dim=1)
return self.{{out}}(torch.cat([{{o}} for {{o}}, _ in {{outs}}], -1)), alphas⟧‖{{outs}}, {{als}} = zip(*[{{head}}(x, attn_mask) for {{head}} in self.{{heads}}])
⟦attn_output = self.{{out}}(torch.cat({{outs}}, dim=-1))
return attn_output, torch.stack({{als}}, dim=1)‖return self.{{out}}(torch.cat({{outs}}, -1)), torch.stack({{als}}, dim=1)‖{{o}} = self.{{out}}(torch.cat(list({{outs}}), dim=2))
return {{o}}, torch.stack(list({{als}}), 1)⟧‖{{outs}}, {{als}} = [], []
for i in range(len(self.{{heads}})):
    {{o}}, {{a}} = self.{{heads}}[i](x, attn_mask)
    {{outs}} += [{{o}}]
    {{als}} += [{{a}}]
return self.{{out}}(torch.cat({{outs}}, dim=-1)), torch.stack({{als}}, dim=1)‖B, T, _ = x.shape
alphas = torch.zeros(B, len(self.{{heads}}), T, T, device=x.device)
{{outs}} = []
for i, {{head}} in enumerate(self.{{heads}}):
    {{o}}, {{a}} = {{head}}(x, attn_mask)
    alphas[:, i] = {{a}}
    {{outs}}.append({{o}})
return self.{{out}}(torch.cat({{outs}}, dim=-1)), alphas⟧
"""

_LAYERS_MADE = """
⟦‖‖self.num_layers = num_layers⟧
⟦self.{{layers}} = nn.ModuleList(⟦[AttentionResidual(⟦dim, attn_dim, mlp_dim, num_heads‖dim=dim, attn_dim=attn_dim, mlp_dim=mlp_dim, num_heads=num_heads⟧) for ⟦_‖i⟧ in range(num_layers)]‖AttentionResidual(dim, attn_dim, mlp_dim, num_heads) for _ in range(num_layers)⟧)‖self.{{layers}} = nn.ModuleList()
for ⟦_‖i⟧ in range(num_layers):
    self.{{layers}}.append(AttentionResidual(dim, attn_dim, mlp_dim, num_heads))‖{{layer}}s = []
for i in range(num_layers):
    {{layer}}s.append(AttentionResidual(dim, attn_dim, mlp_dim, num_heads))
self.{{layers}} = nn.ModuleList({{layer}}s)‖self.{{layers}} = nn.ModuleList()
for i in range(num_layers):
    {{layer}} = AttentionResidual(dim, attn_dim, mlp_dim, num_heads)
    self.{{layers}}.append({{layer}})⟧
"""

_LAYERS_RUN = """
⟦{{als}} = ⟦[]‖list()⟧
⟦‖‖output = x⟧
for {{layer}} in self.{{layers}}:
    x, {{a}} = {{layer}}(x, ⟦attn_mask‖attn_mask=attn_mask⟧)
    ⟦{{als}}.append({{a}})‖if return_attn:
        {{als}}.append({{a}})‖{{als}} += [{{a}}]⟧
⟦if return_attn:
    return x, torch.stack({{als}}, ⟦dim=1‖1⟧)
return x, None‖return x, torch.stack({{als}}, dim=1) if return_attn else None‖{{als}} = torch.stack({{als}}, dim=1) if return_attn else None
return x, {{als}}‖if not return_attn:
    return x, None
return x, torch.stack({{als}}, dim=1)‖if return_attn:
    collected = torch.stack({{als}}, dim=1)
else:
    collected = None
return x, collected⟧‖{{als}} = None
for {{layer}} in self.{{layers}}:
    x, {{a}} = {{layer}}(x, attn_mask)
    if return_attn:
        {{a}} = {{a}}.unsqueeze(1)
        {{als}} = {{a}} if {{als}} is None else torch.cat([{{als}}, {{a}}], dim=1)
return x, {{als}}‖{{als}} = [None] * len(self.{{layers}})
for i in range(len(self.{{layers}})):
    x, {{als}}[i] = self.{{layers}}[i](x, attn_mask)
return x, (torch.stack({{als}}, dim=1) if return_attn else None)⟧
"""

_PATCH_MADE = """
⟦‖‖self.patch_size = patch_size⟧
⟦self.{{conv}} = nn.Conv2d(nin, nout, kernel_size=patch_size, stride=patch_size)‖self.{{conv}} = nn.Conv2d(in_channels=nin, out_channels=nout, kernel_size=patch_size, stride=patch_size)‖self.{{conv}} = nn.Conv2d(nin, nout, patch_size, patch_size)‖self.{{conv}} = nn.Conv2d(nin, nout, kernel_size=(patch_size, patch_size), stride=(patch_size, patch_size))‖self.{{conv}} = nn.Conv2d(nin, nout, kernel_size=patch_size, stride=patch_size, padding=0)⟧
"""

_PATCH_RUN = """
⟦x = self.{{conv}}(x)
⟦x = x.flatten(⟦2‖start_dim=2‖-2⟧)
⟦x = x.transpose(⟦1, 2‖-1, -2‖2, 1⟧)
return x‖return x.transpose(1, 2)‖return x.permute(0, 2, 1)⟧‖return x.flatten(2).transpose(1, 2)‖B, C, H, W = x.shape
⟦x = x.⟦view‖reshape⟧(B, C, H * W)
return x.⟦transpose(1, 2)‖permute(0, 2, 1)⟧‖return x.permute(0, 2, 3, 1).reshape(B, H * W, C)⟧‖x = x.view(x.size(0), x.size(1), -1)
return x.⟦transpose(1, 2)‖permute(0, 2, 1).contiguous()⟧⟧‖return self.{{conv}}(x).flatten(2).⟦transpose(1, 2)‖permute(0, 2, 1)‖mT⟧‖{{a}} = self.{{conv}}(x)
{{a}} = {{a}}.⟦flatten(2)‖reshape({{a}}.shape[0], {{a}}.shape[1], self.num_patches)‖view({{a}}.size(0), {{a}}.size(1), -1)⟧
return {{a}}.⟦transpose(1, 2)‖permute(0, 2, 1)‖transpose(-2, -1)⟧‖return torch.einsum("bchw->bhwc", self.{{conv}}(x)).flatten(1, 2)⟧
"""

_ENCODE = """
⟦{{tokens}} = word_tokenize(s)‖{{tokens}} = [self.start] + word_tokenize(s)#first‖{{tokens}} = list(word_tokenize(s))⟧
⟦{{ids}} = [self.tok_to_id[self.start]]
for {{tok}} in {{tokens}}:
    ⟦{{ids}}.append(self.tok_to_id.get({{tok}}, self.tok_to_id[self.unk]))‖if {{tok}} in self.tok_to_id:
        {{ids}}.append(self.tok_to_id[{{tok}}])
    else:
        {{ids}}.append(self.tok_to_id[self.unk])‖try:
        {{ids}}.append(self.tok_to_id[{{tok}}])
    except KeyError:
        {{ids}}.append(self.tok_to_id[self.unk])⟧‖{{ids}} = [self.tok_to_id[self.start]] + ⟦[self.tok_to_id.get({{tok}}, self.tok_to_id[self.unk]) for {{tok}} in {{tokens}}]‖[self.tok_to_id[{{tok}}] if {{tok}} in self.tok_to_id else self.tok_to_id[self.unk] for {{tok}} in {{tokens}}]⟧‖unk_id = self.tok_to_id[self.unk]
{{ids}} = [self.tok_to_id.get({{tok}}, unk_id) for {{tok}} in {{tokens}}]
{{ids}} = [self.tok_to_id[self.start]] + {{ids}}‖{{ids}} = [self.tok_to_id.get({{tok}}, self.tok_to_id[self.unk]) for {{tok}} in {{tokens}}]
{{ids}}.insert(0, self.tok_to_id[self.start])⟧
return ⟦torch.tensor({{ids}}, dtype=torch.long)‖torch.tensor({{ids}}, dtype=torch.int64)‖torch.LongTensor({{ids}})‖torch.tensor({{ids}}).long()⟧
"""

_DECODE = """
⟦return " ".join(⟦[self.vocab[i] for i in toks.tolist()]‖[self.vocab[int(i)] for i in toks]‖[self.vocab[t.item()] for t in toks]‖self.vocab[i] for i in toks.tolist()⟧)‖{{tokens}} = [self.vocab[i] for i in toks.tolist()]
return " ".join({{tokens}})‖{{tokens}} = []
for {{tok}} in toks:
    {{tokens}}.append(self.vocab[⟦int({{tok}})‖{{tok}}.item()⟧])
return " ".join({{tokens}})‖id_to_tok = {i: t for t, i in self.tok_to_id.items()}
return " ".join(⟦[id_to_tok[int(i)] for i in toks]‖id_to_tok[i.item()] for i in toks⟧)‖inverse = {v: k for k, v in self.tok_to_id.items()}
{{tokens}} = [inverse[i] for i in toks.tolist()]
return " ".join({{tokens}})⟧
"""

_EMBEDDINGS = """
self.{{tE}} = nn.Embedding(⟦vocab_size, dim‖num_embeddings=vocab_size, embedding_dim=dim⟧)
⟦self.{{pE}} = nn.Embedding(⟦max_N, dim‖num_embeddings=max_N, embedding_dim=dim⟧)‖self.{{pE}} = nn.Parameter(⟦torch.zeros(1, max_N, dim)‖torch.randn(1, max_N, dim) * 0.02⟧)#param⟧
⟦‖‖‖self.dim = dim‖nn.init.normal_(self.{{tE}}.weight, std=0.02)⟧
"""

_CAUSAL = """
⟦{{B}}, {{T}} = input_ids.shape‖{{B}}, {{T}} = input_ids.size()‖{{B}} = input_ids.shape[0]
{{T}} = input_ids.shape[1]‖{{B}}, {{T}} = input_ids.size(0), input_ids.size(1)⟧
⟦‖‖device = input_ids.device‖assert {{T}} <= self.max_N, f"{{{T}}} tokens, but at most {self.max_N}"⟧
⟦{{pos}} = torch.arange(⟦{{T}}‖0, {{T}}⟧, device=input_ids.device)⟦‖.unsqueeze(0)‖[None, :]‖.expand({{B}}, {{T}})⟧
x = ⟦self.{{tE}}(input_ids) + self.{{pE}}({{pos}})‖self.{{pE}}({{pos}}) + self.{{tE}}(input_ids)⟧‖token_emb = self.{{tE}}(input_ids)
pos_emb = self.{{pE}}(torch.arange({{T}}, device=input_ids.device))
x = token_emb + pos_emb⟦‖.unsqueeze(0)⟧‖{{pos}} = torch.arange({{T}}, device=input_ids.device)
token_emb = self.{{tE}}(input_ids)
pos_emb = self.{{pE}}({{pos}})
x = token_emb + pos_emb‖x = self.{{tE}}(input_ids)
x = x + self.{{pE}}(torch.arange({{T}}, device=x.device))⟧
⟦attn_mask = torch.tril(torch.ones(⟦{{T}}, {{T}}‖({{T}}, {{T}})⟧, device=input_ids.device))⟦.unsqueeze(0).expand({{B}}, {{T}}, {{T}})‖.expand({{B}}, {{T}}, {{T}})‖[None]‖.unsqueeze(0).repeat({{B}}, 1, 1)‖.repeat({{B}}, 1, 1)‖⟧‖attn_mask = torch.ones({{B}}, {{T}}, {{T}}, device=input_ids.device).tril()‖attn_mask = torch.tril(torch.ones({{B}}, {{T}}, {{T}}, device=⟦input_ids.device‖x.device⟧))‖attn_mask = 1 - torch.triu(torch.ones({{T}}, {{T}}, device=x.device), diagonal=1)
attn_mask = attn_mask.unsqueeze(0).⟦expand({{B}}, -1, -1)‖repeat({{B}}, 1, 1)⟧‖{{mask}} = torch.triu(torch.ones({{T}}, {{T}}, device=x.device), diagonal=1).bool()
attn_mask = (~{{mask}}).float().unsqueeze(0).expand({{B}}, {{T}}, {{T}})‖rows = torch.arange({{T}}, device=x.device)
attn_mask = (rows[:, None] >= rows[None, :]).float().expand({{B}}, {{T}}, {{T}})‖attn_mask = torch.ones({{T}}, {{T}}, device=x.device)
attn_mask = torch.tril(attn_mask)
attn_mask = attn_mask.unsqueeze(0).⟦repeat({{B}}, 1, 1)‖expand({{B}}, -1, -1)⟧⟧
"""

_LOSS = """
⟦{{pred}} = logits[:, :-1⟦‖, :⟧]
{{target}} = input_ids[:, 1:]
⟦{{lm}} = inp_mask[:, 1:]
⟦{{loss}} = self.criterion({{pred}}.⟦transpose(1, 2)‖permute(0, 2, 1)‖swapaxes(1, 2)⟧, {{target}})‖{{loss}} = self.criterion({{pred}}.⟦reshape(-1, {{pred}}.size(-1))‖flatten(0, 1)‖reshape(-1, {{pred}}.shape[-1])⟧, {{target}}.⟦reshape(-1)‖flatten()⟧).⟦view_as({{target}})‖reshape({{lm}}.shape)‖view({{lm}}.shape)⟧‖{{loss}} = self.criterion({{pred}}.⟦contiguous().view(-1, {{pred}}.size(-1))‖reshape(-1, {{pred}}.shape[2])⟧, {{target}}.⟦contiguous().view(-1)‖reshape(-1)⟧)
{{lm}} = {{lm}}.⟦reshape(-1)‖contiguous().view(-1)‖flatten()⟧⟧
return ⟦({{loss}} * {{lm}}).sum() / {{lm}}.sum()‖{{loss}}[{{lm}} == 1].mean()‖torch.sum({{loss}} * {{lm}}) / torch.sum({{lm}})‖{{loss}}[{{lm}}.bool()].mean()‖{{loss}}.masked_select({{lm}}.bool()).mean()‖({{lm}} * {{loss}}).sum() / {{lm}}.sum()⟧‖{{lm}} = inp_mask[:, 1:].⟦bool()‖to(torch.bool)‖eq(1)⟧
return self.criterion({{pred}}[{{lm}}], {{target}}[{{lm}}]).mean()⟧‖{{loss}} = self.criterion(logits[:, :-1⟦‖, :⟧].⟦transpose(1, 2)‖permute(0, 2, 1)⟧, input_ids[:, 1:])
⟦{{lm}} = inp_mask[:, 1:]
{{loss}} = {{loss}} * {{lm}}
return {{loss}}.sum() / {{lm}}.sum()‖return ({{loss}} * inp_mask[:, 1:]).sum() / inp_mask[:, 1:].sum()‖{{loss}} = {{loss}}[inp_mask[:, 1:] == 1]
return {{loss}}.mean()⟧‖B, T, V = logits.shape
{{loss}} = self.criterion(logits[:, :-1].reshape(⟦-1, V‖B * (T - 1), V⟧), input_ids[:, 1:].reshape(-1))
{{lm}} = inp_mask[:, 1:].reshape(-1)
return ⟦({{loss}} * {{lm}}).sum() / {{lm}}.sum()‖{{loss}}[{{lm}} > 0].mean()⟧⟧
"""

REGIONS: dict[str, tuple[str, ...]] = {
    "AttentionHead": (_HEAD,),
    "MultiHeadedAttention": (_HEADS_MADE, _HEADS_RUN),
    "Transformer": (_LAYERS_MADE, _LAYERS_RUN),
    "PatchEmbed": (_PATCH_MADE, _PATCH_RUN),
    "MyTokenizer": (_ENCODE, _DECODE),
    "DialogueGPT": (_EMBEDDINGS, _CAUSAL),
    "DialogueLoss": (_LOSS,),
}


class Author:
    """Somebody who writes on their own: their names and habits are drawn once."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names: dict[str, str] = {}

    def regions(self, class_name: str) -> list[str]:
        """What they write in each region of a class."""
        texts = [self._settled(text) for text in REGIONS[class_name]]
        texts = _consistent(texts)
        taken: set[str] = set()
        names: dict[str, str] = {}
        for key in dict.fromkeys(key for text in texts for key in _NAME.findall(text)):
            free = [name for name in NAMES.get(key, (key,)) if name not in taken]
            names[key] = self._chosen(free) if free else f"{key}_{len(taken)}"
            taken.add(names[key])
        return [_NAME.sub(lambda found: names[found[1]], text) for text in texts]

    def _settled(self, text: str) -> str:
        while found := _CHOICE.search(text):
            text = text[: found.start()] + self._chosen(found[1].split("‖")) + text[found.end() :]
        return "\n".join(line for line in text.splitlines() if line.strip())

    def _chosen(self, options: list[str]) -> str:
        return self.rng.choices(options, [1 / place for place in range(1, len(options) + 1)])[0]


def _consistent(texts: list[str]) -> list[str]:
    """Marks after ``#`` and ``!`` say what one choice means for another."""
    whole = "\n\0".join(texts)
    if "#first" in whole:
        whole = re.sub(r"\[self\.tok_to_id\[self\.start\]\] \+ ", "", whole.replace("#first", ""))
        whole = whole.replace("= [self.tok_to_id[self.start]]", "= []")
        whole = re.sub(r"\n.*insert\(0.*", "", whole)
    if "#param" in whole:
        whole = whole.replace("#param", "")
        whole = re.sub(r"self\.\{\{pE\}\}\((?:[^()]|\([^()]*\))*\)", "self.{{pE}}[:, :{{T}}]", whole)
    whole = whole.replace("torch.STACK", "torch.cat" if "unsqueeze(1)!" in whole else "torch.stack").replace("!)", ")")
    return whole.split("\n\0")
