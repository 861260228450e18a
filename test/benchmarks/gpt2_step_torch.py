#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's train step of GPT-2 124M: the peer of Weir's.

Hugging Face's GPT2LMHeadModel in its default configuration (12 layers, width
768, 12 heads, vocabulary 50257) with dropout 0, f32, B=4, T=64, 2 threads,
random weights and tokens. One step is: forward, mean cross entropy, backward,
AdamW (`fused=True`, decay 0.1 on tensors of two or more dimensions), gradients
dropped. Time is the wall clock around the whole step.

    pip install torch==2.15.* transformers==5.23.*
    python test/benchmarks/gpt2_step_torch.py --steps 10 --warmup 3
    python test/benchmarks/gpt2_step_torch.py --compile --json

Output: one line of seconds a step, then a summary; with `--json` one object.

    python test/benchmarks/gpt2_step_torch.py --serve

serves steps in turn with another program, so that both meet the same machine:
after the warm-up it prints `ready {settings}`; for every line `step` on
standard input it runs one step and prints its seconds; `loss` prints the loss
of the last step; `quit` or the end of input ends it. OpenMP keeps its own
settings, so that the peer is timed as its users run it: libgomp's threads spin
for a bounded while after a step and then sleep, and a waiting process uses no
CPU. Do not set OMP_WAIT_POLICY=active around it. A driver is a few lines:

    peer = subprocess.Popen([..., "--serve"], stdin=PIPE, stdout=PIPE, text=True)
    assert peer.stdout.readline().startswith("ready")
    peer.stdin.write("step\\n"); peer.stdin.flush()
    seconds = float(peer.stdout.readline())

Exit codes: 0 done, 2 command line or a request it does not know.
"""

import argparse
import json
import os
import statistics
import sys
import time


def parseArguments():
    parser = argparse.ArgumentParser(
        description="time PyTorch's train step of GPT-2 124M")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=12,
                        help="fewer, for a quick check of the script")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--clip", type=float, default=None,
                        help="clip gradients by this global norm")
    parser.add_argument("--compile", action="store_true",
                        help="torch.compile the forward and backward")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true",
                        help="run one step for each line of standard input")
    arguments = parser.parse_args()
    for name in ("steps", "batch", "sequence", "threads", "layers"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} expects at least 1")
    if arguments.warmup < 0:
        parser.error("--warmup expects at least 0")
    return arguments


def makeStep(arguments):
    """A function that runs one step and returns (seconds, loss)."""
    import torch
    import torch.nn.functional as F
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                        n_layer=arguments.layers, use_cache=False)
    model = GPT2LMHeadModel(config).train()
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=0.1),
         dict(params=plain, weight_decay=0.0)],
        lr=arguments.lr, betas=(0.9, 0.999), eps=1e-8, fused=True)
    tokens = torch.randint(config.vocab_size,
                           (arguments.batch, arguments.sequence + 1))
    ids = tokens[:, :-1].contiguous()
    labels = tokens[:, 1:].contiguous()

    def lossOf(ids, labels):
        logits = model(input_ids=ids).logits
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    forward = torch.compile(lossOf) if arguments.compile else lossOf

    def step():
        start = time.perf_counter()
        loss = forward(ids, labels)
        loss.backward()
        if arguments.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), arguments.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - start
        return seconds, loss.item()

    settings = dict(
        peer="torch.compile" if arguments.compile else "torch eager",
        torch=torch.__version__, layers=arguments.layers,
        parameters=sum(p.numel() for p in model.parameters()),
        batch=arguments.batch, sequence=arguments.sequence,
        threads=arguments.threads, clip=arguments.clip, dtype="f32",
        optimizer="AdamW fused")
    return step, settings


def serve(step, settings):
    print("ready " + json.dumps(settings), flush=True)
    loss = None
    for line in sys.stdin:
        request = line.strip()
        if request == "step":
            seconds, loss = step()
            print(f"{seconds:.6f}", flush=True)
        elif request == "loss" and loss is not None:
            print(f"{loss!r}", flush=True)
        elif request == "quit":
            break
        else:
            print(f"expects 'step', 'quit' or, after a step, 'loss', got "
                  f"'{request}'", file=sys.stderr)
            return 2
    return 0


def main():
    arguments = parseArguments()
    # Read by the OpenMP library as torch loads it.
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    step, settings = makeStep(arguments)
    for _ in range(arguments.warmup):
        step()
    if arguments.serve:
        return serve(step, settings)
    seconds, losses = [], []
    for _ in range(arguments.steps):
        taken, loss = step()
        seconds.append(taken)
        losses.append(loss)
        if not arguments.json:
            print(f"{taken:.4f}", flush=True)
    summary = dict(median=statistics.median(seconds), least=min(seconds),
                   most=max(seconds))
    if arguments.json:
        print(json.dumps(dict(settings, seconds=seconds, losses=losses,
                              **summary)))
    else:
        print(f"{settings['peer']}: median {summary['median']:.4f} s, "
              f"{summary['least']:.4f} to {summary['most']:.4f}, "
              f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
