#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens an exported Hugging Face folder with transformers and compares what it
holds, bit for bit, with the tensors that were to be exported.

    pip install torch==2.15.* transformers==5.23.* safetensors
    python test/e2e/golden/check_export.py FOLDER EXPECTED.safetensors

FOLDER is opened as a user would (`AutoModelForCausalLM.from_pretrained`, no
type asked for). The check fails where

  * transformers had to invent a tensor, left one unused or found another shape,
  * a tensor of EXPECTED is not in the model, or the model's differs in type,
    shape or any bit (NaNs and signed zeros are compared by their bits),
  * the model has a tensor that EXPECTED does not account for: neither of that
    name nor tied to one.

Names in EXPECTED may lack the model's base prefix (`transformer.`, `model.`),
as GPT-2 files on the Hub do. Causal masks stored by such files (`h.N.attn.bias`)
are not weights and are passed over.

Exit codes: 0 equal, 1 not equal, 2 command line, 3 input unreadable.
"""

import argparse
import os
import pathlib
import re
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

STORED_MASK = re.compile(r"(^|\.)h\.\d+\.attn\.(masked_)?bias$")


def bits(tensor):
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def differingElements(one, two):
    size = one.element_size()
    unequal = (bits(one) != bits(two)).view(-1, size).any(dim=1)
    return unequal.nonzero().flatten()


def openFolder(folder):
    """The model, and what transformers says was wrong with the folder."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", output_loading_info=True,
        # Reported below instead of raised.
        ignore_mismatched_sizes=True)
    problems = []
    for key, words in (("missing_keys", "not in the folder"),
                       ("unexpected_keys", "unknown to the model"),
                       ("mismatched_keys", "of another shape"),
                       ("error_msgs", "error")):
        for entry in sorted(str(entry) for entry in info.get(key) or ()):
            if not STORED_MASK.search(entry):
                problems.append(f"{entry}: {words}")
    return model, problems


def compare(model, expected):
    state = model.state_dict()
    prefix = model.base_model_prefix + "."
    problems, accounted = [], set()
    for name in sorted(expected):
        if STORED_MASK.search(name):
            continue
        found = name if name in state else prefix + name
        if found not in state:
            problems.append(f"{name}: expected, not in the model")
            continue
        want, have = expected[name], state[found]
        accounted.add(have.data_ptr())
        if want.dtype != have.dtype:
            problems.append(f"{name}: expected {want.dtype}, got {have.dtype}")
        elif want.shape != have.shape:
            problems.append(f"{name}: expected shape {list(want.shape)}, got "
                            f"{list(have.shape)}")
        else:
            unequal = differingElements(want, have)
            if len(unequal):
                at = unequal[0].item()
                problems.append(
                    f"{name}: {len(unequal)} of {want.numel()} elements "
                    f"differ, the first at {at}: expected "
                    f"{want.flatten()[at].item()!r}, got "
                    f"{have.flatten()[at].item()!r}")
    for name, tensor in state.items():
        if tensor.data_ptr() not in accounted:
            problems.append(f"{name}: in the model, not expected")
    return problems


def main():
    parser = argparse.ArgumentParser(
        description="compare an exported folder with the expected tensors")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("expected", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        expected = load_file(arguments.expected)
    except Exception as error:
        print(f"{arguments.expected}: {error}", file=sys.stderr)
        return 3
    if not arguments.folder.is_dir():
        print(f"{arguments.folder}: no such folder", file=sys.stderr)
        return 3
    try:
        model, problems = openFolder(arguments.folder)
    except Exception as error:
        print(f"{arguments.folder}: {error}", file=sys.stderr)
        return 3
    problems += compare(model, expected)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{arguments.folder}: {type(model).__name__}, "
          f"{len(expected)} tensors expected, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
