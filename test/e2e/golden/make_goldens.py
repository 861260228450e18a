#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden files beside this script: what PyTorch computes for small
GPT-2 and Llama models, for the end-to-end tests to be held against.

The tests read only the stored files and need no Python. This script is for
making the files anew, or for checking that they can be made anew:

    pip install torch==2.15.* transformers==5.23.* safetensors
    python test/e2e/golden/make_goldens.py            # writes all configurations
    python test/e2e/golden/make_goldens.py gpt2-odd   # only these
    python test/e2e/golden/make_goldens.py --check    # writes nothing, compares

Nothing is downloaded, nothing depends on time, and one thread is used, so two
runs on one machine give the same bytes. Another CPU may sum in another order:
`--check` therefore asks for equal bytes of weights, tokens and configurations,
and only for closeness (well inside the tolerances below) of what was computed.

Layout of one configuration, `<name>/`:

    manifest.json            all settings, losses, tolerances and their sources
    tokens.bin               token ids, raw little-endian u16 (nanoGPT's form)
    tokens_llmc.bin          the same tokens with llm.c's header (gpt2-small)
    model/                   Hugging Face folder, as `save_pretrained` writes it:
                             the weights before the first of the training steps
    model-old/config.json    the same model in the spelling of transformers 4
                             (`torch_dtype`, `rope_theta`, `rope_scaling`); its
                             weights are those of model/
    model-hub/               (gpt2-erf) the same weights as GPT-2 files on the
                             Hub name them: no `transformer.` prefix, and the
                             causal masks stored as `h.N.attn.bias`
    sharp/                   Hugging Face folder with weights of deviation 0.1
    sharp_expected.safetensors
                             of one step from sharp/: `loss` [], `logits`
                             [batch, sequence, vocabulary], and for each
                             parameter of the file `grad.<name>`, the gradient
                             of the mean loss in the shape that the file stores
                             (tied embeddings hold the sum of both uses)

Batches. Step s (from 0), row b, position t: the input is token number
(s * batch + b) * sequence + t of tokens.bin, the label the token after it. No
further shift is applied to the labels. The sharp step uses the batch of step 0.

Training. `losses[s]` is the mean cross entropy (nats a token) of step s before
its update. Update: gradients clipped by their global norm where the manifest
says so (factor min(1, max / (norm + 1e-6))), then AdamW with decoupled decay:

    p <- p - lr * decay * p
    m <- beta1 m + (1 - beta1) g            v <- beta2 v + (1 - beta2) g^2
    p <- p - lr * (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + eps)

with k from 1, decay on tensors of two or more dimensions (embeddings too) and
0 on the others.

Precision. `losses` are PyTorch's in f32; `losses_f64` those of the same steps
in f64. A configuration is admitted only where the two agree within 2e-6
relative at every step, so that 1e-5 is a tolerance for a correct program and
not for a lucky one. The sharp step is computed in f64 and rounded to f32 once.
The f64 runs are f64 throughout, which the script checks operator by operator
(transformers' own RMS norm and RoPE would go through f32). `sensitivity` in
the manifest tells how far well-known mistakes move the results; each must
exceed the tolerance, or the golden could not tell right from wrong.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import shutil
import struct
import sys
import tempfile
import types

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from transformers import (AutoConfig, AutoModelForCausalLM, GPT2Config,
                          GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM)

STEPS = 50
# Admission: largest relative difference of the f32 and the f64 loss of a step.
ADMITTED_GAP = 2e-6
# What the tests allow; the admission gap leaves a factor of five.
LOSS_TOLERANCE = 1e-5
SHARP_TOLERANCE = 1e-5
OPTIMIZER = dict(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.1)

GPT2_COMMON = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                   bos_token_id=0, eos_token_id=0)
LLAMA_COMMON = dict(bos_token_id=0, eos_token_id=0)

# clip: None, or the largest global gradient norm.
CONFIGURATIONS = {
    "gpt2-small": dict(
        family="gpt2", seed=11, batch=4, sequence=24, clip=None, llmc=True,
        about="plain GPT-2: gelu_new, tied embeddings",
        config=dict(GPT2_COMMON, vocab_size=96, n_positions=32, n_embd=48,
                    n_layer=3, n_head=4, activation_function="gelu_new")),
    "gpt2-odd": dict(
        family="gpt2", seed=12, batch=3, sequence=17, clip=1.0,
        about="sizes that a mesh of 2 or 4 does not divide: 5 heads, "
              "vocabulary 97, batch 3, sequence 17; clipped",
        config=dict(GPT2_COMMON, vocab_size=97, n_positions=19, n_embd=40,
                    n_layer=2, n_head=5, activation_function="gelu_new")),
    "gpt2-erf": dict(
        family="gpt2", seed=13, batch=4, sequence=16, clip=None, hub=True,
        about="exact GELU (erf) and an inner width that is not 4 * width",
        config=dict(GPT2_COMMON, vocab_size=61, n_positions=20, n_embd=32,
                    n_layer=2, n_head=4, n_inner=80,
                    activation_function="gelu")),
    "llama-small": dict(
        family="llama", seed=14, batch=4, sequence=24, clip=0.5,
        about="plain Llama: grouped-query heads 4 over 2, untied; clipped",
        config=dict(LLAMA_COMMON, vocab_size=96, hidden_size=32,
                    intermediate_size=88, num_hidden_layers=2,
                    num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                    max_position_embeddings=32, rms_norm_eps=1e-5,
                    tie_word_embeddings=False,
                    rope_parameters=dict(rope_type="default",
                                         rope_theta=10000.0))),
    # Head size 8 gives wavelengths 6.3, 63, 628 and 6283; with 64 original
    # positions and factors 1 and 4 they meet all three branches of the rule
    # (kept below 16, blended to 64, divided above).
    "llama-odd": dict(
        family="llama", seed=15, batch=3, sequence=17, clip=None,
        about="sizes that a mesh of 2 or 4 does not divide: 6 heads over 3, "
              "vocabulary 89, inner width 50, batch 3, sequence 17; tied "
              "embeddings; llama3 RoPE scaling",
        config=dict(LLAMA_COMMON, vocab_size=89, hidden_size=48,
                    intermediate_size=50, num_hidden_layers=2,
                    num_attention_heads=6, num_key_value_heads=3, head_dim=8,
                    max_position_embeddings=128, rms_norm_eps=1e-5,
                    tie_word_embeddings=True,
                    rope_parameters=dict(
                        rope_type="llama3", rope_theta=10000.0, factor=8.0,
                        low_freq_factor=1.0, high_freq_factor=4.0,
                        original_max_position_embeddings=64))),
}


# --- Data -------------------------------------------------------------------


def makeTokens(vocabulary, count, seed):
    """`count` token ids of a fixed Markov chain: learnable, hence a loss that
    falls, and every token occurs. Numerical Recipes' 32-bit LCG, high bits."""
    state = seed

    def draw(bound):
        nonlocal state
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        return (state >> 16) % bound

    successors = [[draw(vocabulary) for _ in range(4)]
                  for _ in range(vocabulary)]
    tokens = [draw(vocabulary)]
    while len(tokens) < count:
        # One draw in eight leaves the chain, so that no token starves.
        leave = draw(8) == 0
        tokens.append(draw(vocabulary) if leave
                      else successors[tokens[-1]][draw(4)])
    return tokens


def writeTokens(path, tokens, header=b""):
    path.write_bytes(header + struct.pack(f"<{len(tokens)}H", *tokens))


def llmcHeader(count):
    """llm.c: 256 int32, of which magic 20240520, version 1, token count."""
    return struct.pack("<256i", 20240520, 1, count, *([0] * 253))


def batchOf(tokens, spec, step):
    rows, length = spec["batch"], spec["sequence"]
    ids, labels = [], []
    for row in range(rows):
        start = (step * rows + row) * length
        ids.append(tokens[start:start + length])
        labels.append(tokens[start + 1:start + length + 1])
    return torch.tensor(ids), torch.tensor(labels)


# --- Models -----------------------------------------------------------------


def makeConfig(spec, **changes):
    settings = dict(spec["config"], **changes)
    kind = GPT2Config if spec["family"] == "gpt2" else LlamaConfig
    return kind(**settings, dtype="float32")


def makeModel(spec, state, dtype, config=None):
    """A model with the weights of `state`; in f64 made f64 throughout."""
    config = config or makeConfig(spec)
    # Two implementations of attention, so that f32 and f64 check one another:
    # transformers' eager one sends the softmax through f32.
    config._attn_implementation = "eager" if dtype == torch.float32 else "sdpa"
    kind = GPT2LMHeadModel if spec["family"] == "gpt2" else LlamaForCausalLM
    model = kind(config)
    if state is not None:
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected, unexpected
        assert set(missing) <= {"lm_head.weight"}, missing
        model.tie_weights()
    model.config.use_cache = False
    model = model.to(dtype)
    if dtype == torch.float64 and spec["family"] == "llama":
        makeLlamaExact(model, config)
    return model.train()


def inverseFrequencies(config):
    """RoPE's inverse frequencies in f64, from the definition, with Llama 3.1's
    scaling where the configuration asks for it."""
    rope = config.rope_parameters
    size = config.head_dim
    result = []
    for i in range(0, size, 2):
        frequency = rope["rope_theta"] ** (-i / size)
        if rope["rope_type"] == "llama3":
            length = rope["original_max_position_embeddings"]
            low, high = rope["low_freq_factor"], rope["high_freq_factor"]
            turns = length * frequency / (2 * math.pi)
            if turns < low:
                frequency /= rope["factor"]
            elif turns <= high:
                blend = (turns - low) / (high - low)
                frequency *= (1 - blend) / rope["factor"] + blend
        result.append(frequency)
    return result


def makeLlamaExact(model, config):
    """Replaces the parts of transformers' Llama that compute in f32 whatever
    the weights are."""

    def norm(self, x):
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True)
                            + self.variance_epsilon)
        return self.weight * (x * scale)

    def rotary(self, x, position_ids, *unused, **alsoUnused):
        angles = position_ids[..., None].to(x.dtype) * self.exactFrequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    for module in model.modules():
        name = type(module).__name__
        if name == "LlamaRMSNorm":
            module.forward = types.MethodType(norm, module)
        elif name == "LlamaRotaryEmbedding":
            module.exactFrequencies = torch.tensor(inverseFrequencies(config),
                                                   dtype=torch.float64)
            module.forward = types.MethodType(rotary, module)


class OnlyF64(TorchDispatchMode):
    """Fails at the first operator that yields a floating tensor other than
    f64. Scalars pass: AdamW counts its steps in f32, exactly."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_flatten(result)[0]:
            if (isinstance(value, torch.Tensor) and value.dim() > 0
                    and value.is_floating_point()
                    and value.dtype != torch.float64):
                raise AssertionError(f"{function} yields {value.dtype}")
        return result


@contextlib.contextmanager
def exactArithmetic(dtype):
    if dtype != torch.float64:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH), OnlyF64():
        yield


def lossOf(model, ids, labels):
    logits = model(input_ids=ids).logits
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten()), logits


# --- Goldens ----------------------------------------------------------------


def train(spec, state, tokens, dtype, config=None, epsInside=False,
          decayAll=False, decayNone=False, clip="spec", steps=STEPS):
    """Losses and gradient norms (before clipping) of `steps` AdamW steps. The
    keywords after `config` make well-known mistakes, for `sensitivity`."""
    model = makeModel(spec, state, dtype, config)
    decayed = [p for p in model.parameters() if p.dim() >= 2 or decayAll]
    plain = [p for p in model.parameters() if p.dim() < 2 and not decayAll]
    decay = 0.0 if decayNone else OPTIMIZER["weight_decay"]
    groups = [dict(params=decayed, weight_decay=decay)]
    if plain:
        groups.append(dict(params=plain, weight_decay=0.0))
    optimizer = torch.optim.AdamW(
        groups, lr=OPTIMIZER["lr"],
        betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]),
        # Epsilon inside the root, to the size that adds as much where v = 0,
        # is the mistake; torch has no such option, so it is made below.
        eps=0.0 if epsInside else OPTIMIZER["eps"], foreach=False, fused=False)
    bound = spec["clip"] if clip == "spec" else clip
    losses, norms = [], []
    with exactArithmetic(dtype):
        for step in range(steps):
            ids, labels = batchOf(tokens, spec, step)
            optimizer.zero_grad(set_to_none=True)
            loss, _ = lossOf(model, ids, labels)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(
                model.parameters(), bound if bound else math.inf,
                foreach=False)
            losses.append(loss.item())
            norms.append(norm.item())
            if epsInside:
                stepWithEpsilonInside(optimizer, step + 1)
            else:
                optimizer.step()
    return losses, norms


def stepWithEpsilonInside(optimizer, count):
    """AdamW with sqrt(v + eps) in place of sqrt(v) + eps."""
    with torch.no_grad():
        for group in optimizer.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                state = optimizer.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                    state["v"] = torch.zeros_like(p)
                m, v = state["m"], state["v"]
                m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                v.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.addcdiv_(m / (1 - beta1 ** count),
                           (v / (1 - beta2 ** count)
                            + OPTIMIZER["eps"]).sqrt(),
                           value=-group["lr"])


def sharpStep(spec, state, tokens, dtype, config=None):
    """loss, logits and gradients by name of one step from `state`."""
    model = makeModel(spec, state, dtype, config)
    ids, labels = batchOf(tokens, spec, 0)
    with exactArithmetic(dtype):
        loss, logits = lossOf(model, ids, labels)
        loss.backward()
    result = {"loss": loss.detach(), "logits": logits.detach()}
    for name, p in model.named_parameters():
        result["grad." + name] = p.grad
    return result


def sharpState(spec, state, seed):
    """N(0, 0.1) everywhere, norm weights 1 + N(0, 0.1)."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name in sorted(state):
        value = 0.1 * torch.randn(state[name].shape, generator=generator)
        isNorm = value.dim() == 1 and name.endswith(".weight")
        result[name] = value + 1 if isNorm else value
    return result


def largestRelative(values, reference):
    return max(abs(a - b) / abs(b) for a, b in zip(values, reference))


def ofNorm(value, reference):
    """|value - reference| / |reference|, in f64."""
    reference = reference.double()
    return ((value.double() - reference).norm() / reference.norm()).item()


def largestOfNorm(step, reference):
    """(largest distance of a gradient by its norm, its name, logits')."""
    gaps = {name: ofNorm(step[name], reference[name])
            for name in sorted(reference) if name.startswith("grad.")}
    worst = max(gaps, key=gaps.get)
    return gaps[worst], worst[len("grad."):], ofNorm(step["logits"],
                                                     reference["logits"])


def rounded(value):
    """Three digits: enough for a reader, stable under noise in the rest."""
    return float(f"{value:.3g}")


def sensitivity(spec, state, sharp, tokens, losses, reference):
    """How far well-known mistakes move the losses and the sharp step (f64
    against f64)."""
    result = {}
    # The control: without a mistake both figures are exactly zero, so what is
    # reported below is the mistake's alone.
    assert train(spec, state, tokens, torch.float64)[0] == losses
    same = sharpStep(spec, sharp, tokens, torch.float64, makeConfig(spec))
    assert largestOfNorm(same, reference)[::2] == (0.0, 0.0)

    def inLosses(name, **mistake):
        wrong, _ = train(spec, state, tokens, torch.float64, **mistake)
        result[name] = dict(losses=rounded(largestRelative(wrong, losses)))

    def inSharp(name, **changes):
        wrong = sharpStep(spec, sharp, tokens, torch.float64,
                          makeConfig(spec, **changes))
        gradient, _, logits = largestOfNorm(wrong, reference)
        result[name] = dict(sharp_logits=rounded(logits),
                            sharp_gradients=rounded(gradient))

    inLosses("Adam epsilon inside the root", epsInside=True)
    inLosses("biases and norms decayed as well", decayAll=True)
    inLosses("nothing decayed", decayNone=True)
    if spec["clip"]:
        inLosses("not clipped", clip=None)
    if spec["family"] == "gpt2":
        right = spec["config"]["activation_function"]
        wrong = "gelu" if right == "gelu_new" else "gelu_new"
        inSharp(f"{wrong} in place of {right}", activation_function=wrong)
        inSharp("norm epsilon 1e-6 in place of 1e-5", layer_norm_epsilon=1e-6)
    else:
        inSharp("norm epsilon 1e-6 in place of 1e-5", rms_norm_eps=1e-6)
        inSharp("rope_theta 500000 in place of 10000",
                rope_parameters=dict(spec["config"]["rope_parameters"],
                                     rope_theta=500000.0))
        if spec["config"]["rope_parameters"]["rope_type"] == "llama3":
            inSharp("RoPE scaling ignored",
                    rope_parameters=dict(rope_type="default",
                                         rope_theta=10000.0))
    for name, moved in result.items():
        # A mistake has to lie clear of the tolerance in one of its figures.
        assert max(moved.values()) > 1.5 * LOSS_TOLERANCE, (name, moved)
    return result


def oldSpelling(config):
    """A saved configuration as transformers 4 would have written it."""
    old = dict(config)
    old["torch_dtype"] = old.pop("dtype")
    old["transformers_version"] = "4.40.0"
    rope = old.pop("rope_parameters", None)
    if rope is not None:
        rope = dict(rope)
        old["rope_theta"] = rope.pop("rope_theta")
        old["rope_scaling"] = None if rope["rope_type"] == "default" else rope
        # Derived from width and heads by readers of that time.
        old.pop("head_dim", None)
    else:
        old["n_ctx"] = old["n_positions"]
        for key in ("tie_word_embeddings", "add_cross_attention"):
            old.pop(key, None)
    return {key: old[key] for key in sorted(old)}


def hubSpelling(state, positions):
    """GPT-2 weights under the names, and with the masks, of the Hub's files."""
    result = {}
    for name, value in state.items():
        result[name.removeprefix("transformer.")] = value
        if name.endswith(".attn.c_attn.weight"):
            mask = torch.ones(positions, positions).tril()
            prefix = name.removeprefix("transformer.")
            prefix = prefix.removesuffix("c_attn.weight")
            result[prefix + "bias"] = mask.view(1, 1, positions, positions)
    return result


def writeJson(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def loadsAlike(folder, weights, state, spec, tokens):
    """transformers opens `folder` (with `weights` where it has none of its
    own) as the model of `state`, bit for bit."""
    with tempfile.TemporaryDirectory() as temporary:
        joined = pathlib.Path(temporary)
        shutil.copy(folder / "config.json", joined)
        own = folder / "model.safetensors"
        shutil.copy(own if own.exists() else weights, joined)
        model = AutoModelForCausalLM.from_pretrained(
            joined, dtype="auto", attn_implementation="eager").train()
        assert next(model.parameters()).dtype == torch.float32
    ids, labels = batchOf(tokens, spec, 0)
    with torch.no_grad():
        loaded = lossOf(model, ids, labels)[1]
        made = lossOf(makeModel(spec, state, torch.float32), ids, labels)[1]
    assert torch.equal(loaded, made), f"{folder} opens as another model"


def saveModel(folder, spec, state):
    model = makeModel(spec, state, torch.float32)
    model.config.use_cache = True
    model.save_pretrained(folder)
    # Only the two files that describe the model.
    (folder / "generation_config.json").unlink(missing_ok=True)


def makeGolden(name, spec, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows, length = spec["batch"], spec["sequence"]
    count = STEPS * rows * length + 1
    tokens = makeTokens(spec["config"]["vocab_size"], count, spec["seed"])
    writeTokens(folder / "tokens.bin", tokens)
    if spec.get("llmc"):
        writeTokens(folder / "tokens_llmc.bin", tokens, llmcHeader(count))

    torch.manual_seed(spec["seed"])
    saveModel(folder / "model", spec, None)
    weights = folder / "model" / "model.safetensors"
    state = load_file(weights)
    assert all(value.dtype == torch.float32 for value in state.values())
    loadsAlike(folder / "model", weights, state, spec, tokens)

    old = folder / "model-old"
    old.mkdir()
    config = json.loads((folder / "model" / "config.json").read_text())
    writeJson(old / "config.json", oldSpelling(config))
    loadsAlike(old, weights, state, spec, tokens)
    if spec.get("hub"):
        hub = folder / "model-hub"
        hub.mkdir()
        writeJson(hub / "config.json", oldSpelling(config))
        save_file(hubSpelling(state, spec["config"]["n_positions"]),
                  hub / "model.safetensors", metadata={"format": "pt"})
        loadsAlike(hub, weights, state, spec, tokens)

    losses, norms = train(spec, state, tokens, torch.float32)
    exact, exactNorms = train(spec, state, tokens, torch.float64)
    gap = largestRelative(losses, exact)
    assert gap <= ADMITTED_GAP, f"{name}: f32 and f64 losses differ by {gap:g}"
    if spec["clip"]:
        acted = sum(norm > spec["clip"] for norm in exactNorms)
        assert acted >= 10, f"{name}: clipping acts in {acted} steps only"

    sharp = sharpState(spec, state, spec["seed"] + 1000)
    saveModel(folder / "sharp", spec, sharp)
    reference = sharpStep(spec, sharp, tokens, torch.float64)
    single = sharpStep(spec, sharp, tokens, torch.float32)
    gradientGap, gradientName, logitsGap = largestOfNorm(single, reference)
    assert max(gradientGap, logitsGap) <= SHARP_TOLERANCE / 5, (
        name, gradientGap, gradientName, logitsGap)
    assert {"grad." + key for key in sharp} == set(reference) - {"loss",
                                                                "logits"}
    save_file({key: value.float().contiguous()
               for key, value in reference.items()},
              folder / "sharp_expected.safetensors")

    ids, labels = batchOf(tokens, spec, 0)
    writeJson(folder / "manifest.json", {
        "name": name,
        "about": spec["about"],
        "family": spec["family"],
        "made_with": {"torch": torch.__version__.split("+")[0],
                      "transformers": transformers.__version__,
                      "script": "test/e2e/golden/make_goldens.py"},
        "folders": {"model": "model", "old_spelling": "model-old",
                    "sharp": "sharp",
                    **({"hub_spelling": "model-hub"} if spec.get("hub")
                       else {})},
        "data": {
            "tokens": "tokens.bin", "type": "u16 little-endian",
            "count": count,
            **({"tokens_llmc": "tokens_llmc.bin"} if spec.get("llmc") else {}),
            "steps": STEPS, "batch": rows, "sequence": length,
            "rule": "input(step, row, t) = tokens[(step * batch + row) * "
                    "sequence + t], label = the token after it",
            "first_ids": ids.tolist(), "first_labels": labels.tolist()},
        "optimizer": {
            "name": "adamw", **OPTIMIZER,
            "decayed": "tensors of two or more dimensions",
            "clip_grad_norm": spec["clip"]},
        "losses": losses,
        "losses_f64": exact,
        "gradient_norms": norms,
        "gradient_norms_f64": exactNorms,
        "sharp": {"expected": "sharp_expected.safetensors",
                  "loss": reference["loss"].item(), "batch_of_step": 0},
        "tolerances": {
            "losses_relative": LOSS_TOLERANCE,
            "sharp_of_norm": SHARP_TOLERANCE,
            "source": "at least five times what PyTorch's own f32 differs "
                      "from f64 (`measured`), and below what known mistakes "
                      "cause (`sensitivity`)"},
        "measured": {
            "losses_f32_f64_relative": rounded(gap),
            "sharp_logits_f32_f64_of_norm": rounded(logitsGap),
            "sharp_gradients_f32_f64_of_norm": rounded(gradientGap),
            "sharp_gradients_worst": gradientName},
        "sensitivity": sensitivity(spec, state, sharp, tokens, exact,
                                   reference),
    })
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)  # written readable by the owner alone
    size = sum(path.stat().st_size for path in folder.rglob("*")
               if path.is_file())
    print(f"{name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, f32-f64 gap "
          f"{gap:.2g}, sharp gap {max(gradientGap, logitsGap):.2g}, "
          f"{size / 1024:.0f} KiB", flush=True)


# --- Checking ---------------------------------------------------------------


def compare(made, stored):
    """Messages about what differs, and how many files are equal to the byte."""
    problems, equal = [], 0
    names = {str(path.relative_to(root)) for root in (made, stored)
             for path in root.rglob("*") if path.is_file()}
    for name in sorted(names):
        one, two = made / name, stored / name
        if not one.exists() or not two.exists():
            problems.append(f"{name}: only {'stored' if two.exists() else 'made'}")
        elif one.read_bytes() == two.read_bytes():
            equal += 1
        elif name == "sharp_expected.safetensors":
            a, b = load_file(one), load_file(two)
            if set(a) != set(b):
                problems.append(f"{name}: holds other tensors")
                continue
            for key in sorted(a):
                # f64 rounded once: another order of summation can move a
                # value by one unit in the last place.
                if ofNorm(a[key], b[key]) > 1e-7:
                    problems.append(f"{name}: {key} differs")
        elif name == "manifest.json":
            a, b = (json.loads(path.read_text()) for path in (one, two))
            for key in ("losses", "gradient_norms"):
                bound = ADMITTED_GAP if key == "losses" else 1e-5
                if largestRelative(a.pop(key), b.pop(key)) > bound:
                    problems.append(f"{name}: {key} differ")
            for key in ("losses_f64", "gradient_norms_f64"):
                if largestRelative(a.pop(key), b.pop(key)) > 1e-10:
                    problems.append(f"{name}: {key} differ")
            for key in ("measured", "sensitivity", "made_with", "sharp"):
                a.pop(key), b.pop(key)
            if a != b:
                problems.append(f"{name}: settings differ")
        else:
            problems.append(f"{name}: other bytes")
    return problems, equal


def main():
    parser = argparse.ArgumentParser(
        description="make or check the golden files beside this script")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"of {', '.join(CONFIGURATIONS)}; default all")
    parser.add_argument("--check", action="store_true",
                        help="make them in a temporary folder and compare")
    parser.add_argument("--output", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in CONFIGURATIONS:
            parser.error(f"no configuration '{name}'")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    failed = False
    for name in arguments.names or CONFIGURATIONS:
        stored = arguments.output / name
        if not arguments.check:
            makeGolden(name, CONFIGURATIONS[name], stored)
            continue
        with tempfile.TemporaryDirectory() as temporary:
            made = pathlib.Path(temporary) / name
            makeGolden(name, CONFIGURATIONS[name], made)
            problems, equal = compare(made, stored)
        for problem in problems:
            print(f"{name}/{problem}", file=sys.stderr)
        print(f"{name}: {equal} files equal to the byte, "
              f"{len(problems)} problems")
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
