#!/usr/bin/env python3
"""Builds and runs the simulator's tests, adds up what they explored, and fails when that is less
than what the project promises.

  sim_run.py          every program once; must stay within the time budget
  sim_run.py --long   as many schedules as LONG says; takes as long as it takes
  further: --cc gcc  --jobs 2  --programs DIR (take the programs from there, build nothing)

Prints for each program its seconds and what it explored. Exit status 0 or 1.
"""

import argparse
import concurrent.futures
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from header import ROOT

# What a quick run must contain at least.
RANDOM = 100_000
PCT = 100_000
SCENARIOS = 40
COMPLETE = 40
# ... and how long it may take, in seconds, building not included.
BUDGET = 150
# What a long run must contain at least: schedules of any kind.
LONG = 50_000_000
# No program of a quick run may take longer than this, nor that times the factor of a long one.
HANGS = 300

TOTALS = re.compile(
    r"^sim totals: (\d+) random, (\d+) pct, (\d+) exhaustive, (\d+) scenarios, (\d+) complete, "
    r"(\d+) planted$",
    re.MULTILINE,
)
# Programs that run the simulator by themselves, to test it.
NO_TOTALS = ("sim_explore", "sim_sim")
WHAT = ("random", "pct", "exhaustive", "scenarios", "complete", "planted")
# What would change the schedules of a run.
CHANGED_BY = (
    "SIM_FACTOR",
    "CTHREADS_SIM_SEED",
    "CTHREADS_SIM_SCHEDULE",
    "CTHREADS_SIM_FAULTS",
    "CTHREADS_SIM_MEMORY",
)


def build(source, folder, cc):
    program = Path(folder) / source.stem
    command = [*cc.split(), "-std=c11", "-O2", "-g", "-DCTHREADS_SIM=", f"-I{ROOT}"]
    command += [f"-I{ROOT / 'tests'}", str(source), "-o", str(program), "-pthread"]
    subprocess.run(command, check=True)
    return program


def run(program, factor):
    """Run one program: (its name, seconds, totals or None, what went wrong or "", output)."""
    environment = {k: v for k, v in os.environ.items() if k not in CHANGED_BY}
    environment["SIM_FACTOR"] = str(factor)
    environment["TEST_TIMEOUT"] = str(max(3, factor))  # minutes that a test may take
    start = time.monotonic()
    try:
        done = subprocess.run(
            [str(program)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=HANGS * max(1, factor),
        )
        status, output = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as late:
        status, output = "none: it hangs", (late.stdout or b"").decode(errors="replace")
    seconds = time.monotonic() - start
    found = TOTALS.findall(output)
    wrong = ""
    if status != 0:
        wrong = f"exit status {status}"
    elif len(found) != 1 and program.name not in NO_TOTALS:
        wrong = f"{len(found)} lines of totals"
    totals = [int(n) for n in found[0]] if len(found) == 1 else None
    return program.name, seconds, totals, wrong, output


def run_all(programs, factor, jobs):
    """Run all programs; returns the sums, the seconds taken and the number of failures."""
    sums = [0] * len(WHAT)
    failures = 0
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(run, program, factor) for program in programs]
        for number, done in enumerate(concurrent.futures.as_completed(runs), 1):
            name, seconds, totals, wrong, output = done.result()
            sums = [a + b for a, b in zip(sums, totals or [0] * len(sums))]
            if wrong:
                failures += 1
                tail = "\n".join(output.splitlines()[-40:])
                print(f"{name}: FAILED, {wrong}; the end of its output:\n{tail}")
            else:
                counted = ", ".join(f"{n} {what}" for n, what in zip(totals or [], WHAT))
                print(f"{name}: {seconds:.1f} s, {counted}")
            if factor > 1:
                part = f"{number} of {len(runs)} programs, {sum(sums[:3]):,} schedules so far"
                print(f"  {part}, {time.monotonic() - start:.0f} s")
            sys.stdout.flush()
    return sums, time.monotonic() - start, failures


def shortfalls(sums, seconds):
    """What a quick run lacks."""
    for what, least in (
        ("random", RANDOM),
        ("pct", PCT),
        ("scenarios", SCENARIOS),
        ("complete", COMPLETE),
    ):
        has = sums[WHAT.index(what)]
        if has < least:
            yield f"{has} {what}, of at least {least}"
    if seconds > BUDGET:
        yield f"{seconds:.0f} s, of at most {BUDGET}"


def report(sums, seconds, failures, lacks):
    print(f"sim: {', '.join(f'{n:,} {what}' for n, what in zip(sums, WHAT))}, {seconds:.0f} s")
    for lack in lacks:
        print(f"sim: too {'long' if ' at most ' in lack else 'few'}: {lack}")
    if failures:
        print(f"sim: {failures} programs failed")
    return 1 if failures or lacks else 0


def run_long(programs, jobs):
    """A quick run says how many schedules there are to multiply."""
    sums, seconds, failures = run_all(programs, 1, jobs)
    if failures:
        return report(sums, seconds, failures, [])
    twice, seconds, failures = run_all(programs, 2, jobs)
    # What a factor multiplies, and what there is of the rest: searches, runs of planted bugs.
    grows = sum(twice[:3]) - sum(sums[:3])
    stays = sum(sums[:3]) - grows
    if failures or grows <= 0:
        return report(twice, seconds, failures, ["0 schedules that SIM_FACTOR multiplies"])
    factor = math.ceil(1.05 * (LONG - stays) / grows)
    about = seconds * factor / 2 / 60
    print(f"sim: {factor} times as many schedules: about {about:.0f} minutes", flush=True)
    sums, seconds, failures = run_all(programs, factor, jobs)
    has = sum(sums[:3])
    lacks = [f"{has} schedules, of at least {LONG}"] if has < LONG else []
    return report(sums, seconds, failures, lacks)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--programs", type=Path)
    return parser.parse_args()


def main():
    options = parse_arguments()
    sources = sorted((ROOT / "tests").glob("sim_*.c"))
    with tempfile.TemporaryDirectory() as folder:
        if options.programs is not None:
            programs = [options.programs / source.stem for source in sources]
        else:
            with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
                programs = list(pool.map(lambda s: build(s, folder, options.cc), sources))
        if options.long:
            return run_long(programs, options.jobs)
        sums, seconds, failures = run_all(programs, 1, options.jobs)
        return report(sums, seconds, failures, list(shortfalls(sums, seconds)))


if __name__ == "__main__":
    sys.exit(main())
