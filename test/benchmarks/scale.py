#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how compile time and memory grow with the size of the graph.

    cmake --preset dev && cmake --build build        # or release
    python3 test/benchmarks/scale.py

compiles narrow GPT-2 models (width 32, 4 heads, vocabulary 256; the compiler's
work does not depend on widths) whose train graph, autodiff and AdamW included,
has 5,000 to 76,000 ops and more (--most), from the job file to the artifact: on
one device, on a mesh dp=2,tp=2, on it with 2 micro-batches, and with other
strategies (--all). The last column runs the artifact: the process from start to
exit for one train step. Then one model on meshes of 16 to 1,000,000 ranks.

Every configuration is compiled --repeat times, in turn, each time in a process
of its own; medians are printed, and by phase with --phases. The limit is 60 s
for 76,000 ops (--limit); OneFlow's authors report 1,558 s for a graph of that
size.

`--json` prints one object with all figures. `exponent` is the slope of seconds
over ops, both in logarithms, between the two largest graphs: 1 is linear.

Exit codes: 0 done, 1 above the limit at 76,000 ops, 2 command line, 3 something
is missing or failed (its messages are above).
"""

import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parents[2]

# Layers of a GPT-2 whose module has about that many ops after phase `graph`.
sizes = {5000: 21, 20000: 85, 76000: 322, 152000: 644, 304000: 1288}

configurations = {
    "one device": [],
    "dp=2,tp=2": ["--mesh=dp=2,tp=2", "--strategy=dp:data,tp:megatron"],
    "dp=2,tp=2, 2 micro-batches": [
        "--mesh=dp=2,tp=2", "--strategy=dp:data,tp:megatron", "--micro-batches=2"],
}
more = {
    "one device, dropout": ["--set=dropout=0.1"],
    "zero3, megatron-sp, 2 micro-batches": [
        "--mesh=dp=2,tp=2", "--strategy=dp:zero3,tp:megatron-sp",
        "--micro-batches=2"],
    "zero1, ring": ["--mesh=dp=2,cp=2", "--strategy=dp:zero1,cp:ring"],
    "search": ["--mesh=dp=2,tp=2", "--strategy=dp:search,tp:search"],
}
meshes = ["dp=2,tp=8", "dp=125,tp=8", "dp=12500,tp=8", "dp=125000,tp=8"]


class Failure(Exception):
    pass


def parseArguments():
    parser = argparse.ArgumentParser(
        description="measure how compile time grows with the graph")
    parser.add_argument("--build", type=pathlib.Path, default=root / "build",
                        help="build folder that holds bin/weir-compile (build)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--most", type=int, default=152000,
                        help="largest graph, in ops, to 304000 (152000)")
    parser.add_argument("--all", action="store_true",
                        help="more strategies, to 76,000 ops")
    parser.add_argument("--phases", action="store_true",
                        help="also print the seconds of each phase")
    parser.add_argument("--limit", type=float, default=60,
                        help="seconds that 76,000 ops may take (60)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.repeat < 1:
        parser.error("--repeat expects at least 1")
    if arguments.most < min(sizes):
        parser.error(f"--most expects at least {min(sizes)}")
    return arguments


def writeJob(folder, layers, batch=8):
    (folder / "tokens.bin").write_bytes(bytes(2 * 4096))
    job = {
        "name": "scale",
        "model": {"family": "gpt2", "config": {
            "layers": layers, "width": 32, "heads": 4, "vocab": 256,
            "context": 16}},
        "data": {"kind": "bin", "path": "tokens.bin"},
        "batch": batch, "sequence": 8, "steps": 1, "seed": 1,
        "optimizer": {"kind": "adamw", "lr": 1e-4, "weight_decay": 0.1},
        "clip": 1.0,
    }
    path = folder / f"job-{layers}-{batch}.json"
    path.write_text(json.dumps(job, indent=1))
    return path


def measured(command):
    """(seconds of the process, its peak memory in bytes, its output)."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failure(f"{command[0]} ended with {process.returncode}:\n{output}")
    return seconds, usage.ru_maxrss * 1024, output


def compileOnce(folder, arguments, job, flags):
    artifact = folder / "model.weir"
    seconds, memory, output = measured(
        [arguments.build / "bin" / "weir-compile", job, "-o", artifact,
         "--verbose", *flags])
    phases = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "s":
            phases[words[0]] = float(words[1])
    return dict(seconds=seconds, memory=memory, phases=phases,
                artifact=artifact.stat().st_size)


def countOps(folder, arguments, job, flags):
    """Ops of the module after each phase up to `memory`."""
    report = folder / "report.json"
    measured([arguments.build / "bin" / "weir-compile", job, "-o",
              folder / "module.mlir", "--stop-after=memory",
              f"--report={report}", *flags])
    phases = json.loads(report.read_text())["phases"]
    return {phase["phase"]: phase["ops"] for phase in phases}


def runOnce(folder, arguments, job):
    return measured([arguments.build / "bin" / "weir-run",
                     folder / "model.weir", f"--train={job}",
                     "--progress=none"])


def medianOf(samples):
    result = {key: statistics.median(s[key] for s in samples)
              for key in ("seconds", "memory", "artifact")}
    result["least"] = min(s["seconds"] for s in samples)
    result["phases"] = {
        phase: statistics.median(s["phases"][phase] for s in samples)
        for phase in samples[0]["phases"]}
    return result


def processorName():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def show(say, label, ops, result, arguments):
    run = f"{result['run']['seconds']:8.2f}" if "run" in result else ""
    say(f"{label:38} {ops:8,} {result['seconds']:9.2f} {result['least']:9.2f} "
        f"{result['memory'] / 2**20:8.0f} {result['artifact'] / 2**20:9.1f} {run}")
    if arguments.phases:
        say("    " + ", ".join(f"{phase} {seconds:.2f}"
                               for phase, seconds in result["phases"].items()))


def measure(arguments, say):
    chosen = dict(configurations, **(more if arguments.all else {}))
    result = dict(processor=processorName(), cores=os.cpu_count(),
                  repeat=arguments.repeat, graphs=[], meshes=[])
    with tempfile.TemporaryDirectory(prefix="weir-scale-") as name:
        folder = pathlib.Path(name)
        say(f"{'graph':38} {'ops':>8} {'median s':>9} {'least s':>9} "
            f"{'MiB':>8} {'file MiB':>9} {'1 step s':>8}")
        for label, flags in chosen.items():
            curve = []
            for size, layers in sizes.items():
                if size > arguments.most or (label in more and size > 76000):
                    continue
                job = writeJob(folder, layers)
                counts = countOps(folder, arguments, job, flags)
                samples, runs = [], []
                for _ in range(arguments.repeat):
                    samples.append(compileOnce(folder, arguments, job, flags))
                    runs.append(runOnce(folder, arguments, job))
                row = medianOf(samples)
                row["run"] = dict(seconds=statistics.median(r[0] for r in runs),
                                  memory=statistics.median(r[1] for r in runs))
                row.update(configuration=label, size=size, layers=layers,
                           ops=counts)
                curve.append(row)
                show(say, label, counts["graph"], row, arguments)
            result["graphs"] += curve
            if len(curve) > 1:
                a, b = curve[-2:]
                slope = math.log(b["seconds"] / a["seconds"]) / math.log(
                    b["ops"]["graph"] / a["ops"]["graph"])
                result.setdefault("exponent", {})[label] = slope
                say(f"{'':38} exponent {slope:.2f}")
        for mesh in meshes:
            job = writeJob(folder, 85, batch=1000000)
            flags = [f"--mesh={mesh}", "--strategy=dp:data,tp:megatron"]
            counts = countOps(folder, arguments, job, flags)
            row = medianOf([compileOnce(folder, arguments, job, flags)
                            for _ in range(arguments.repeat)])
            row.update(mesh=mesh, ops=counts)
            result["meshes"].append(row)
            show(say, mesh, counts["graph"], row, arguments)
    return result


def main():
    arguments = parseArguments()

    def say(text):
        if not arguments.json:
            print(text, flush=True)

    try:
        result = measure(arguments, say)
    except (Failure, OSError, KeyError, json.JSONDecodeError) as failure:
        print(f"scale.py: {failure}", file=sys.stderr)
        return 3
    slow = [row for row in result["graphs"]
            if row["size"] == 76000 and row["seconds"] > arguments.limit]
    if arguments.json:
        print(json.dumps(result))
    for row in slow:
        print(f"scale.py: {row['configuration']}: {row['seconds']:.1f} s for "
              f"{row['ops']['graph']:,} ops, the limit is {arguments.limit:g} s",
              file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
