#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times Weir's train step of GPT-2 124M against PyTorch's, in turn.

    cmake --preset release && cmake --build build
    pip install torch==2.15.* transformers==5.23.*     # for the peer
    python3 test/benchmarks/gpt2_step.py

compiles the model (Hugging Face's default GPT-2: 12 layers, width 768, 12 heads,
vocabulary 50257; B=4, T=64, f32, dropout 0, AdamW with decay 0.1 on tensors of
two or more dimensions, no clipping; one device, 2 threads), measures how long
that takes, starts `weir run --serve-steps` and gpt2_step_torch.py --serve, and
after each one's warm-up has them run one step in turn: weir first in even pairs,
the peer first in odd ones, with a pause in front of each step in which the
other's threads fall asleep. Both meet the same machine at the same time, so the
result is the median of the paired ratios weir / peer; below 1 Weir is faster.

Without PyTorch it says so, times Weir alone and ends with 0. `--json` prints one
object with all seconds. `--at-most RATIO` ends with 1 where the ratio is above.

Exit codes: 0 done, 1 above --at-most, 2 command line, 3 something is missing or
failed (its messages are above).
"""

import argparse
import json
import pathlib
import platform
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parents[2]


class Failure(Exception):
    pass


def parseArguments():
    parser = argparse.ArgumentParser(
        description="time Weir's train step of GPT-2 124M in turn with PyTorch's")
    parser.add_argument("--build", type=pathlib.Path, default=root / "build",
                        help="build folder that holds bin/weir-compile (build)")
    parser.add_argument("--python", default=sys.executable,
                        help="interpreter that has torch and transformers")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.3,
                        help="seconds of rest in front of each step (0.3)")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=12,
                        help="fewer, for a quick check of the script")
    parser.add_argument("--compile", action="store_true",
                        help="torch.compile the peer")
    parser.add_argument("--no-peer", action="store_true", help="time Weir alone")
    parser.add_argument("--at-most", type=float, default=None, metavar="RATIO")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for name in ("pairs", "batch", "sequence", "threads", "layers"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} expects at least 1")
    if arguments.warmup < 1 or arguments.pause < 0:
        parser.error("--warmup expects at least 1, --pause at least 0")
    return arguments


def writeJob(folder, arguments):
    """The job and its random tokens; returns the job's path."""
    generator = random.Random(0)
    count = arguments.batch * arguments.sequence * 8 + 1
    tokens = [generator.randrange(50257) for _ in range(count)]
    (folder / "tokens.bin").write_bytes(struct.pack(f"<{count}H", *tokens))
    job = {
        "name": "gpt2-124m",
        "model": {"family": "gpt2", "config": {
            "layers": arguments.layers, "width": 768, "heads": 12, "vocab": 50257,
            "context": 1024}},
        "data": {"kind": "bin", "path": "tokens.bin"},
        "batch": arguments.batch, "sequence": arguments.sequence,
        "steps": 100000, "seed": 1, "dropout": 0, "threads": arguments.threads,
        "optimizer": {"kind": "adamw", "lr": 1e-4, "betas": [0.9, 0.999],
                      "eps": 1e-8, "weight_decay": 0.1},
        "clip": 0,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job, indent=1))
    return path


def compileModel(folder, job, arguments):
    """(artifact, seconds of the whole process, seconds by phase)."""
    artifact = folder / "model.weir"
    begin = time.perf_counter()
    done = subprocess.run(
        [arguments.build / "bin" / "weir-compile", job, "-o", artifact,
         "--verbose"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        raise Failure(f"weir-compile ended with {done.returncode}:\n{done.stdout}")
    phases = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "s":
            phases[words[0]] = float(words[1])
    return artifact, seconds, phases


class Peer:
    """A process that runs a step for each line `step`."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            raise Failure(f"{name} did not get ready: {line.strip()!r}, exit code "
                          f"{self.process.wait()}")
        self.settings = json.loads(line[len("ready "):])
        self.seconds = []

    def ask(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            return float(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise Failure(f"{self.name} ended with {self.process.wait()}")

    def step(self, pause):
        time.sleep(pause)
        self.seconds.append(self.ask("step"))

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.close()
            except BrokenPipeError:
                pass
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def hasTorch(python):
    try:
        return subprocess.run([python, "-c", "import torch, transformers"],
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def processorName():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def summaryOf(peer):
    return dict(settings=peer.settings, seconds=peer.seconds,
                median=statistics.median(peer.seconds), least=min(peer.seconds),
                most=max(peer.seconds), loss=peer.ask("loss"))


def measure(arguments, say):
    with tempfile.TemporaryDirectory(prefix="weir-gpt2-") as name:
        folder = pathlib.Path(name)
        job = writeJob(folder, arguments)
        artifact, seconds, phases = compileModel(folder, job, arguments)
        say(f"compiled in {seconds:.2f} s ("
            + ", ".join(f"{key} {value:.2f}" for key, value in phases.items())
            + f"), {artifact.stat().st_size / 2**20:.1f} MiB")
        result = dict(compile=dict(seconds=seconds, phases=phases,
                                   artifact_bytes=artifact.stat().st_size),
                      processor=processorName(), layers=arguments.layers,
                      batch=arguments.batch, sequence=arguments.sequence,
                      threads=arguments.threads, pairs=arguments.pairs,
                      peer=None, ratio=None)
        peers = []
        try:
            peers.append(Peer("weir", [
                arguments.build / "bin" / "weir-run", artifact, f"--train={job}",
                "--serve-steps", f"--warmup={arguments.warmup}"]))
            if arguments.no_peer:
                pass
            elif not hasTorch(arguments.python):
                say(f"{arguments.python} has no torch and transformers: Weir is "
                    "timed alone (pip install torch==2.15.* transformers==5.23.*)")
            else:
                command = [
                    arguments.python,
                    root / "test" / "benchmarks" / "gpt2_step_torch.py", "--serve",
                    f"--warmup={arguments.warmup}", f"--batch={arguments.batch}",
                    f"--sequence={arguments.sequence}",
                    f"--threads={arguments.threads}",
                    f"--layers={arguments.layers}"]
                if arguments.compile:
                    command.append("--compile")
                peers.append(Peer("PyTorch", command))
            ratios = []
            for pair in range(arguments.pairs):
                for peer in peers if pair % 2 == 0 else peers[::-1]:
                    peer.step(arguments.pause)
                line = "  ".join(f"{p.name} {p.seconds[-1]:.4f} s" for p in peers)
                if len(peers) == 2:
                    ratios.append(peers[0].seconds[-1] / peers[1].seconds[-1])
                    line += f"  ratio {ratios[-1]:.4f}"
                say(line)
            result["weir"] = summaryOf(peers[0])
            if ratios:
                result["peer"] = summaryOf(peers[1])
                result["ratios"] = ratios
                result["ratio"] = statistics.median(ratios)
        finally:
            for peer in peers:
                peer.close()
        return result


def main():
    arguments = parseArguments()

    def say(text):
        if not arguments.json:
            print(text, flush=True)

    try:
        result = measure(arguments, say)
    except (Failure, OSError) as failure:
        print(f"gpt2_step.py: {failure}", file=sys.stderr)
        return 3
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"weir: median {result['weir']['median']:.4f} s, least "
              f"{result['weir']['least']:.4f}, loss {result['weir']['loss']:.4f}")
        if result["peer"]:
            settings = result["peer"]["settings"]
            print(f"{settings['peer']} {settings['torch']}: median "
                  f"{result['peer']['median']:.4f} s, least "
                  f"{result['peer']['least']:.4f}, loss "
                  f"{result['peer']['loss']:.4f}")
            print(f"median of {arguments.pairs} paired ratios weir / peer: "
                  f"{result['ratio']:.3f}")
    if arguments.at_most is not None and result["ratio"] is not None:
        return 0 if result["ratio"] <= arguments.at_most else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
