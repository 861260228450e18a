#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's run of the shipped job: a byte-level GPT-2 on the `fortunes` text.

4 layers, width 144, 4 heads, bytes as tokens (vocabulary 256), 16 x 128 tokens
a step, AdamW 3e-3 (betas 0.9 and 0.95, decay 0.1 on tensors of two or more
dimensions), 100 steps of warm-up, cosine decay to a tenth, gradients clipped
to norm 1, no dropout, f32. Prints the validation loss in nats a byte.

    apt-get install fortunes
    pip install torch==2.15.* transformers==5.23.*
    python test/benchmarks/bytes_gpt2_torch.py               # 2,000 steps
    python test/benchmarks/bytes_gpt2_torch.py --steps 2000 --stop-after 100

The second line is a quick check of the script: the schedule of 2,000 steps, of
which 100 are run. With --json the last line is an object.

Text. The regular files of the folder (no links, no `.dat`, no `.u8`) in the
order of their names, as bytes; entries are what stands between lines `%`, the
empty ones dropped. Entries are numbered from 1 through all files, and every
20th is validation. Both texts are their entries, each followed by `\\n%\\n`.

Batches are windows at random places of the training text (seeded). Validation
takes the whole validation text in windows of 128 side by side, each byte but
the first predicted once from at most 128 before it in its window, and divides
the summed loss by the number of bytes predicted.
"""

import argparse
import json
import math
import os
import pathlib
import sys
import time


def readEntries(folder):
    entries = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix in (".dat", ".u8"):
            continue
        entry = []
        # A last line of `%` is made, so that the last entry is closed too.
        for line in path.read_bytes().split(b"\n") + [b"%"]:
            if line == b"%":
                text = b"\n".join(entry).strip(b"\n")
                if text:
                    entries.append(text)
                entry = []
            else:
                entry.append(line)
    return entries


def splitEntries(entries, every):
    """(training text, validation text)."""
    texts = ([], [])
    for number, entry in enumerate(entries, start=1):
        texts[number % every == 0].append(entry + b"\n%\n")
    return b"".join(texts[0]), b"".join(texts[1])


def learningRate(step, arguments):
    """Of step `step`, from 0: linear to the peak, then half a cosine."""
    if step < arguments.warmup:
        return arguments.lr * (step + 1) / arguments.warmup
    span = max(1, arguments.steps - arguments.warmup)
    done = min(1.0, (step - arguments.warmup) / span)
    ratio = arguments.min_ratio
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return arguments.lr * (ratio + (1 - ratio) * cosine)


def main():
    parser = argparse.ArgumentParser(
        description="train a byte-level GPT-2 on the fortunes text")
    parser.add_argument("--text", type=pathlib.Path,
                        default=pathlib.Path("/usr/share/games/fortunes"))
    parser.add_argument("--validation-every", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2000,
                        help="of the schedule")
    parser.add_argument("--stop-after", type=int, default=None,
                        help="run only this many of them")
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--min-ratio", type=float, default=0.1)
    parser.add_argument("--beta1", type=float, default=0.9)
    parser.add_argument("--beta2", type=float, default=0.95)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=144)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=500)
    parser.add_argument("--sample", type=int, default=300,
                        help="bytes of text to write at the end; 0 for none")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.text.is_dir():
        print(f"{arguments.text}: no such folder; install the package "
              "'fortunes' or name one with --text", file=sys.stderr)
        return 3
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

    import torch
    import torch.nn.functional as F
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    texts = splitEntries(readEntries(arguments.text),
                         arguments.validation_every)
    training, validation = (torch.frombuffer(bytearray(text),
                                             dtype=torch.uint8).long()
                            for text in texts)
    length = arguments.sequence
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=256, n_positions=length, n_embd=arguments.width,
        n_layer=arguments.layers, n_head=arguments.heads, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        use_cache=False))
    optimizer = torch.optim.AdamW(
        [dict(params=[p for p in model.parameters() if p.dim() >= 2],
              weight_decay=arguments.decay),
         dict(params=[p for p in model.parameters() if p.dim() < 2],
              weight_decay=0.0)],
        lr=arguments.lr, betas=(arguments.beta1, arguments.beta2), fused=True)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters, {len(training)} training and "
          f"{len(validation)} validation bytes", flush=True)

    def lossOf(ids, labels, reduction="mean"):
        logits = model(input_ids=ids).logits
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(),
                               reduction=reduction)

    @torch.no_grad()
    def evaluate():
        total, count = 0.0, 0
        windows = (len(validation) - 1) // length
        whole = windows * length
        ids = validation[:whole].view(windows, length)
        labels = validation[1:whole + 1].view(windows, length)
        parts = list(zip(ids.split(64), labels.split(64)))
        if whole < len(validation) - 1:
            parts.append((validation[None, whole:-1],
                          validation[None, whole + 1:]))
        for ids, labels in parts:
            total += lossOf(ids, labels, "sum").item()
            count += labels.numel()
        return total / count

    generator = torch.Generator().manual_seed(arguments.seed)
    offsets = torch.arange(length + 1)
    stop = arguments.steps
    if arguments.stop_after is not None:
        stop = min(stop, arguments.stop_after)
    start = time.perf_counter()
    evaluating = 0.0
    value, history = None, []
    for step in range(stop):
        for group in optimizer.param_groups:
            group["lr"] = learningRate(step, arguments)
        places = torch.randint(len(training) - length, (arguments.batch, 1),
                               generator=generator)
        rows = training[places + offsets]
        loss = lossOf(rows[:, :-1], rows[:, 1:].contiguous())
        loss.backward()
        if arguments.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), arguments.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % arguments.evaluate_every == 0 or step + 1 == stop:
            before = time.perf_counter()
            value = evaluate()
            evaluating += time.perf_counter() - before
            history.append(dict(step=step + 1, loss=loss.item(),
                                validation=value))
            print(f"step {step + 1}: loss {loss.item():.4f}, validation "
                  f"{value:.4f} nats a byte, "
                  f"{time.perf_counter() - start:.0f} s", flush=True)
    seconds = time.perf_counter() - start - evaluating

    if arguments.sample and stop:
        written = torch.tensor([list(b"\n%\n")])
        with torch.no_grad():
            for _ in range(arguments.sample):
                logits = model(input_ids=written[:, -length:]).logits[:, -1]
                chances = (logits / 0.8).softmax(-1)
                following = torch.multinomial(chances, 1, generator=generator)
                written = torch.cat((written, following), dim=1)
        print(bytes(written[0, 3:].tolist()).decode("utf-8", "replace"))
    if arguments.json:
        print(json.dumps(dict(
            parameters=parameters, steps=stop, validation=value,
            training_seconds=seconds, evaluation_seconds=evaluating,
            tokens_per_second=stop * arguments.batch * length / seconds
            if stop else None,
            threads=arguments.threads, torch=torch.__version__,
            history=history)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
