#!/usr/bin/env python3
"""The mutation gate: spoils cthreads.h in one place at a time and sees that a simulator test fails.

  mutate.py                     every mutant
  mutate.py --sample 12         so many, chosen by the day; with --seed N by that number
  mutate.py --only REGEX        those whose name matches; --section NAME: those of a section
  mutate.py --list              print name, line and change of each, run nothing
  mutate.py --self-test         see that the finder finds each sort in a small source
  further: --jobs 2  --cc gcc  --root DIR (a copy of the project)  --deeper N (try survivors again
           with N times as many schedules)  --skip-failing (leave out programs that fail unspoiled)

Mutants of the implementation and of the inline functions, outside the simulator's own sections
and what the simulator build does not compile:

  weaken   one memory order of one wrapper call: acquire and release become relaxed, acq_rel loses
           either half, seq_cst becomes acq_rel, a fence goes
  wake     a call that wakes somebody goes: nobody is woken, and the caller thinks he was
  recheck  a condition looked at between locking the bucket and queueing, or on a record's `queued`,
           is taken for false (or true, when its block does not leave), and so is the value of a
           `const bool` set there; a loop around a sleep goes round once; a sleeper trusts its wake
           and does not look again

A mutant that survives is accepted when its line, or the comment above its line or above the call,
says `slack: <why it is stronger than needed>`; `slack(acquire->relaxed): why` is for that change
alone. A slack whose mutants are all killed is stale, which is a failure too.

All mutants are compiled into each program at once, switched by the environment variable MUTANT. A
program is built when a mutant first gets to it, those of the mutant's section before others; a
first run notes which mutants it reaches.
SIM_FACTOR multiplies the number of schedules, as everywhere.
"""

import argparse
import concurrent.futures
import datetime
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from header import ROOT, Header, spaces

EXCLUDED = ("impl:platform", "impl:explore", "impl:model", "impl:sim", "api:atomic")
# Tests of the simulator itself are left out: what they count changes with any mutant, which would
# kill it for no good reason.
NOT_USED = ("sim_sim", "sim_explore", "sim_model", "sim_canaries")  # beginnings of names
# Programs to run first for a section, beside its own.
FIRST = {
    section: ("sim_cond", "sim_mutex", "sim_event", "sim_sem", "sim_rwlock")
    for section in ("wait", "memory", "self")
}
FIRST["future"] = ("sim_executor",)
# Names that are false in the simulator build as tested.
UNDEFINED = ("CTHREADS_DEBUG", "__cplusplus")
# Which part of the schedules is enough to see which mutants a program reaches.
FIRST_RUN = 0.3
# Longer, in seconds, than any program takes.
LONGEST = 1000

WRAPPER = re.compile(r"\bcth__(?:load|store|swap|add|sub|or|and|cas_weak|cas|fence)\s*\(")
ORDER = re.compile(r"\b(acquire|release|acq_rel|seq_cst)\b")
WEAKER = {
    "acquire": ("relaxed",),
    "release": ("relaxed",),
    "acq_rel": ("acquire", "release"),
    "seq_cst": ("acq_rel",),
}
# What wakes, and what stands in for it: {0}, {1} are its arguments.
WAKES = {
    "cth__wake_on": "(void)0",
    "cth__wake_all": "(void)0",
    "cth__claim": "(cth__unlink(({0}), ({1})), true)",
    "cth__claim_all": "(void)0",
    "cth__signal_all": "(void)0",
    "cth__bucket_close": "cth__unlock(&({0})->lock)",
    "cth__claim_readers": "1U",
    "cth__hand_to_readers": "true",
    "cth__rwlock_pass": "(void)0",
    "cth__let_readers_in": "(void)0",
    "cth__barrier_break": "(void)0",
    "cth__cancel_mark": "(void)0",
    "cth__cancel_tree": "(void)0",
    "cth__wake_some": "false",
    "cth__queue_wake": "(void)0",
    "cth__give": "(void)0",
    "cth__fence_light": "(void)0",
    "cth__fence_heavy": "(void)0",
    # The sections above the locks wake by these.
    "cth_cond_notify": "CTH_OK",
    "cth_cond_notify_all": "CTH_OK",
    "cth_event_set": "CTH_OK",
    "cth_sem_release": "CTH_OK",
    "cth_sem_release_n": "CTH_OK",
    "cth_latch_done": "CTH_OK",
    "cth_cancel_request": "CTH_OK",
}
WAKE = re.compile(rf"(?<!\w)({'|'.join(WAKES)})\s*\(")
NOTED = re.compile(r"\bwakes->selves\[wakes->n\+\+\] = self;")
LOCKS = re.compile(r"\bcth__bucket_lock\s*\(")
AFTER_LOCK = re.compile(r"\bcth__(enqueue|bucket_lock|park|claim|bucket_close)\s*\(")
FLAG = re.compile(r"\bconst bool (\w+) = ")
SLEEPS = re.compile(r"\bcth_(_wait_on|_yield_cpu|cond_wait|cond_wait_until)\s*\(")
SLACK = re.compile(r"\bslack(?:\(([a-z_]+->[a-z_]+)\))?:\s*(\S)?")

SWITCH = """\
/* Written by mutate.py. */
#include <stdio.h>
#include <stdlib.h>
int cth__mutant;
unsigned char cth__reached[%d];
__attribute__((constructor)) static void begin(void) {
    const char *which = getenv("MUTANT");
    cth__mutant = which != NULL ? atoi(which) : 0;
}
__attribute__((destructor)) static void end(void) {
    const char *path = getenv("MUTANT_REACHED");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    for (int i = 0; file != NULL && i < (int)sizeof cth__reached; i++) {
        if (cth__reached[i]) {
            fprintf(file, "%%d\\n", i);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}
"""


class Mutant:
    def __init__(self, sort, section, function, what, change, at):
        self.sort = sort
        self.section = section  # without api: or impl:
        self.what = f"{section}:{function}:{what}:{change}"
        self.change = change
        self.at = at  # where in the text
        self.call = at  # where the call begins that it is part of
        self.name = self.what  # with #n at the end, later
        self.number = 0  # what MUTANT is set to
        self.line = 0  # counted from 0
        self.slack = None  # the line of the comment that accepts it

    def flag(self):
        return f"CTH__MUTANT({self.number})"


def close_of(code, start):
    """Where the parenthesis or brace that opens at `start` closes."""
    pairs = {"(": ")", "{": "}"}
    opens, closes = code[start], pairs[code[start]]
    depth = 0
    for index in range(start, len(code)):
        depth += (code[index] == opens) - (code[index] == closes)
        if depth == 0:
            return index
    return len(code) - 1


def block_after(code, close):
    """Where the block opens that follows a closing parenthesis; -1: something else follows."""
    match = re.compile(r"\)\s*\{").match(code, close)
    return match.end() - 1 if match else -1


def arguments(code, start, end):
    """The arguments of a call between its parentheses, as (start, end)."""
    found = []
    depth = 0
    begin = start + 1
    for index in range(start + 1, end):
        depth += (code[index] in "([{") - (code[index] in ")]}")
        if code[index] == "," and depth == 0:
            found.append((begin, index))
            begin = index + 1
    return found + [(begin, end)]


def simulated(lines):
    """For each line, whether the simulator build compiles it (true where that is not known)."""
    result = []
    open_ifs = []  # for each open #if: [now, whether one of its branches was true]
    for line in lines:
        if match := re.match(r"^\s*#\s*(ifdef|ifndef|if|elif|else|endif)\b\s*(.*)", line):
            word, rest = match[1], match[2].strip()
            if word in ("ifdef", "ifndef", "if"):
                known = None
                if word != "if" and (rest == "CTHREADS_SIM" or rest in UNDEFINED):
                    known = (rest == "CTHREADS_SIM") == (word == "ifdef")
                open_ifs.append([known, known])
            elif word == "endif":
                open_ifs.pop()
            elif open_ifs[-1][1] is not None:
                open_ifs[-1][0] = not open_ifs[-1][1]
        result.append(all(now is not False for now, _ in open_ifs))
    return result


class Source:
    """The text of a header, and where its functions are."""

    DEFINITION = re.compile(
        r"^(?!typedef|struct|enum|union|extern)[A-Za-z_][^;{}#=]*?\b(cth_\w+)\s*\([^;{}#]*\)\s*\{",
        re.MULTILINE,
    )

    def __init__(self, text):
        self.header = Header(text)
        self.text = text
        self.code = "\n".join(self.header.code)
        self.starts = [0]
        for line in self.header.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        home = {p.name: p.section.name for p in self.header.prototypes() if p.fast}
        compiled = simulated(self.header.code)
        self.functions = []  # (name, section, begin of the body, its end)
        for match in self.DEFINITION.finditer(self.code):
            section = self.header.section_at(self.line_of(match.start(1)))
            if section is None or section.tag in EXCLUDED:
                continue
            name = match[1]
            if section.kind == "impl" or name in home:
                begin = match.end() - 1
                end = close_of(self.code, begin)
                self.functions.append((name, home.get(name, section.name), begin, end))
        # Without what the simulator build leaves out; places in it are those in the text.
        self.simulated = "\n".join(
            line if compiled[n] and not line.lstrip().startswith("#") else spaces(line)
            for n, line in enumerate(self.header.code)
        )

    def line_of(self, at):
        low, high = 0, len(self.starts) - 1
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= at else (low, middle)
        return low


class Finder:
    """Finds the mutants, and the insertions into the text that make them switchable."""

    def __init__(self, text):
        self.source = Source(text)
        self.mutants = []
        self.inserted = []  # (place, rank, text)
        self.orders = []  # lines for the included file
        for function in self.source.functions:
            self.find_in(*function)
        self.number_names()
        self.find_slack()

    def add(self, sort, what, change, at, call=None):
        mutant = Mutant(sort, self.section, self.function, what, change, at)
        mutant.call = at if call is None else call
        mutant.line = self.source.line_of(at)
        mutant.number = len(self.mutants) + 1
        self.mutants.append(mutant)
        return mutant

    def around(self, begin, end, before, after):
        """Insert around a piece of text; pieces nest, the outer ones are inserted first."""
        self.inserted.append((begin, len(self.inserted), before))
        self.inserted.append((end, -len(self.inserted), after))

    def find_in(self, name, section, begin, end):
        self.function, self.section = name, section
        code = self.source.simulated[:end]
        self.find_orders(code, begin)
        self.find_wakes(code, begin)
        self.find_rechecks(code, begin)
        self.find_loops(code, begin)
        self.find_trust(code, begin)

    def find_orders(self, code, begin):
        for match in WRAPPER.finditer(code, begin):
            wrapper = match[0].rstrip("( ")
            close = close_of(code, match.end() - 1)
            args = arguments(code, match.end() - 1, close)
            places = args[-2:] if "cas" in wrapper else args[-1:]
            for place, (first, last) in enumerate(places):
                order = ORDER.fullmatch(code[first:last].strip())
                if order is None:
                    continue
                was = order[1]
                weaker = WEAKER[was]
                if wrapper == "cth__fence":
                    weaker = ("relaxed",)
                elif was == "seq_cst" and wrapper in ("cth__load", "cth__store"):
                    weaker = ("acquire" if wrapper == "cth__load" else "release",)
                failed = ":failed" if place == 1 else ""
                at = first + code[first:last].index(was)
                flags = []
                for change in weaker:
                    mutant = self.add(
                        "weaken", wrapper + failed, f"{was}->{change}", at, match.start()
                    )
                    flags.append(f"{mutant.flag()} ? memory_order_{change} : ")
                self.orders.append(
                    f"#define memory_order_mutant{mutant.number} "
                    f"({''.join(flags)}memory_order_{was})"
                )
                # The order's name itself is replaced: see spoiled().
                self.inserted.append((at, -1, f"mutant{mutant.number}\0{len(was)}\0"))

    def find_wakes(self, code, begin):
        for match in WAKE.finditer(code, begin):
            close = close_of(code, match.end() - 1)
            args = [code[a:b].strip() for a, b in arguments(code, match.end() - 1, close)]
            mutant = self.add("wake", match[1], "dropped", match.start())
            instead = WAKES[match[1]].format(*args)
            before = f"({mutant.flag()} ? {instead} : "
            self.around(match.start(), close + 1, before, ")")
        for match in NOTED.finditer(code, begin):
            mutant = self.add("wake", "wakes->selves", "dropped", match.start())
            self.around(match.start(), match.end(), f"if (!{mutant.flag()}) {{ ", " }")

    def find_rechecks(self, code, begin):
        """Conditions between locking a bucket and queueing in it, of `queued`, and those that send
        a sleeper back to sleep."""
        between, after = [], []
        for match in LOCKS.finditer(code, begin):
            stop = AFTER_LOCK.search(code, match.end())
            if stop is not None and stop[1] == "enqueue":
                between.append((match.end(), stop.start()))
        for match in re.finditer(r"\bwhile (?=\()", code[begin:]):
            block = block_after(code, close_of(code, begin + match.end()))
            sleep = SLEEPS.search(code, block, close_of(code, block)) if block > 0 else None
            if sleep:
                after.append((sleep.end(), close_of(code, block)))
        flags = set()
        for match in FLAG.finditer(code, begin):
            if any(first <= match.start() < end for first, end in between):
                flags.add(match[1])
                last = code.index(";", match.end())
                names = [
                    self.add("recheck", match[1], value, match.end()).flag()
                    for value in ("false", "true")
                ]
                self.around(match.end(), last, f"!{names[0]} && ({names[1]} || (", "))")
        for match in re.finditer(r"\b(if|while) (?=\()", code[begin:]):
            at = begin + match.end()
            word = match[1]
            close = close_of(code, at)
            condition = code[at + 1 : close]
            block = block_after(code, close)
            if block < 0:
                continue  # the end of a do loop
            statements = code[block + 1 : close_of(code, block)]
            last = re.split(r"[;{}]", statements.strip().rstrip(";}").strip())[-1].strip()
            leaves = re.match(r"(continue|break|return|goto)\b", last) is not None
            if condition.lstrip("!") in flags or (word == "while" and SLEEPS.search(statements)):
                continue  # see above; see find_loops
            if not (
                any(first <= at < end for first, end in between)
                or (last == "continue" and any(first <= at < end for first, end in after))
                or re.search(r"->queued\b", condition)
            ):
                continue
            what = f"{word}({' '.join(condition.split())})"
            what = what if len(what) <= 40 else what[:37] + "..."
            mutant = self.add("recheck", what, "false", at)
            before, behind = f"!{mutant.flag()} && (", ")"
            if word == "if" and not leaves:
                mutant = self.add("recheck", what, "true", at)
                before, behind = f"{mutant.flag()} || ({before}", "))"
            self.around(at + 1, close, before, behind)

    def find_loops(self, code, begin):
        """Loops around a sleep go round once."""
        for match in re.finditer(r"\bwhile (?=\()", code[begin:]):
            at = begin + match.end()
            close = close_of(code, at)
            block = block_after(code, close)
            if block < 0 or not SLEEPS.search(code[block : close_of(code, block)]):
                continue
            mutant = self.add("recheck", "while", "if", begin + match.start())
            n = mutant.number
            # `for (int once = 0; (once++ == 0 || !mutant) && (condition);) {`
            start = begin + match.start()
            self.inserted.append((start, -1, f"for\0{len('while')}\0"))
            before = f"int cth__once{n} = 0; (cth__once{n}++ == 0 || !{mutant.flag()}) && ("
            self.around(at + 1, close, before, "); ")

    def find_trust(self, code, begin):
        """A wait in a loop that tries again: a thread that is woken takes it for granted."""
        for match in re.finditer(
            r"(?:cth_status (\w+) = |\(void\))cth__park(?=\()", code[begin:]
        ):
            start = begin + match.start()
            loops = [m.start() for m in re.finditer(r"\bfor \(;;\) \{", code[begin:start])]
            if not any(
                close_of(code, code.index("{", begin + loop)) > start for loop in loops
            ):
                continue
            end = code.index(";", close_of(code, begin + match.end())) + 1
            mutant = self.add("recheck", "cth__park", "trusted", start)
            good = f" && {match[1]} == CTH_OK" if match[1] else ""
            text = f" if ({mutant.flag()}{good}) {{ return CTH_OK; }}"
            self.inserted.append((end, 0, text))

    def number_names(self):
        seen = {}
        for mutant in sorted(self.mutants, key=lambda m: m.at):
            seen[mutant.what] = seen.get(mutant.what, 0) + 1
            mutant.name = f"{mutant.what}#{seen[mutant.what]}"

    def find_slack(self):
        header = self.source.header
        for mutant in self.mutants:
            for line in {mutant.line, self.source.line_of(mutant.call)}:
                above = line - 1
                lines = [line]
                while header.comments[above].strip() and not header.code[above].strip():
                    lines.append(above)
                    above -= 1
                for number in lines:
                    for match in SLACK.finditer(header.comments[number]):
                        if match[1] in (None, mutant.change):
                            mutant.slack = (number, match[1])

    def spoiled(self):
        """The text with a switch for each mutant."""
        pieces = []
        at = 0
        for place, _, text in sorted(self.inserted, key=lambda i: (i[0], i[1])):
            pieces.append(self.source.text[at:place])
            at = max(at, place)
            if "\0" in text:
                text, length, _ = text.split("\0")
                at += int(length)
            pieces.append(text)
        pieces.append(self.source.text[at:])
        return "".join(pieces)

    def included(self):
        """What each program includes first."""
        lines = [
            "extern int cth__mutant;",
            "extern unsigned char cth__reached[];",
            "#define CTH__MUTANT(n) (cth__reached[n] = 1, cth__mutant == (n))",
        ]
        return "\n".join(lines + self.orders) + "\n"


def no_core():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def factor_asked():
    return float(os.environ.get("SIM_FACTOR", "1"))


class Programs:
    """The simulator programs, compiled with all mutants in them, each when it is first needed."""

    def __init__(self, finder, root, folder, cc):
        self.root = root
        self.folder = Path(folder)
        self.cc = cc.split()
        (self.folder / "cthreads.h").write_text(finder.spoiled(), encoding="utf-8")
        (self.folder / "mutants.h").write_text(finder.included(), encoding="utf-8")
        switch = SWITCH % (len(finder.mutants) + 1)
        (self.folder / "switch.c").write_text(switch, encoding="utf-8")
        names = sorted(source.stem for source in (root / "tests").glob("sim_*.c"))
        self.locks = {name: threading.Lock() for name in names if not name.startswith(NOT_USED)}
        self.seconds = {}  # of those that were needed
        self.reached = {}
        self.failing = {}

    def reaches(self, name, number):
        """Whether the program can tell something about a mutant."""
        with self.locks[name]:
            if name not in self.reached:
                self.build(name)
                self.first_run(name)
            return number in self.reached[name] and name not in self.failing

    def build(self, name):
        command = [*self.cc, "-std=c11", "-O1", "-w", "-DCTHREADS_SIM="]
        command += [f"-I{self.folder}", f"-I{self.root / 'tests'}", "-include", "mutants.h"]
        # switch.c needs no mutants.h, and does not mind it.
        command += [str(self.root / "tests" / f"{name}.c"), str(self.folder / "switch.c")]
        command += ["-o", str(self.folder / name), "-pthread"]
        made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0:
            self.failing[name] = f"does not compile:\n{made.stdout.decode(errors='replace')[:3000]}"

    def first_run(self, name):
        path = self.folder / f"{name}.reached"
        start = time.monotonic()
        if name not in self.failing:
            more = {"MUTANT_REACHED": str(path), "SIM_FACTOR": str(FIRST_RUN * factor_asked())}
            failure = self.run(name, 0, 300, more)
            if failure:
                self.failing[name] = f"fails without a mutant: {failure}"
        self.seconds[name] = (time.monotonic() - start) / FIRST_RUN
        lines = path.read_text(encoding="utf-8").split() if path.is_file() else []
        self.reached[name] = {int(n) for n in lines}

    def run(self, name, number, limit, more=None):
        """Run a program with a mutant. "" when it passes, else how it failed."""
        # The watchdog of test.h is for each test; here the whole program has a limit.
        environment = {"TEST_TIMEOUT": "100", **os.environ, "MUTANT": str(number), **(more or {})}
        process = subprocess.Popen(
            [str(self.folder / name)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=environment,
            preexec_fn=no_core,
            start_new_session=True,
        )
        try:
            _, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return "hangs"
        if process.returncode == 0:
            return ""
        text = errors.decode(errors="replace")
        kind = re.search(r"^cthreads simulator: (\w+): ([a-z ]+)", text, re.MULTILINE)
        if kind:
            return f"{kind[2].strip()} in {kind[1]}"
        check = re.search(r"check failed in test (\w+)", text)
        return f"check in {check[1]}" if check else f"status {process.returncode}"

    def order(self, mutant):
        """All programs, in the order to run them: those of its section, the fastest that are there,
        the others."""
        own = f"sim_{mutant.section}"
        first = [own, *(n for n in self.locks if n.startswith(f"{own}_"))]
        first += FIRST.get(mutant.section, ())
        return sorted(
            self.locks,
            key=lambda n: (
                first.index(n) if n in first else len(first),
                self.seconds.get(n, LONGEST),
            ),
        )


def judge(programs, mutant, deeper):
    """How a mutant ended: (killed, text)."""
    reached = False
    for factor in [1] + ([deeper] if deeper > 1 else []):
        schedules = str(factor * factor_asked())
        for name in programs.order(mutant):
            if not programs.reaches(name, mutant.number):
                continue
            reached = True
            limit = 60 + 15 * programs.seconds[name] * factor
            how = programs.run(name, mutant.number, limit, {"SIM_FACTOR": schedules})
            if how:
                times = f", {factor} times as long" if factor > 1 else ""
                return True, f"killed by {name} ({how}{times})"
    return False, "survived" + ("" if reached else " (never reached)")


def stale_slack(mutants, results):
    """Slack comments whose mutants were all run, and all killed."""
    groups = {}
    for mutant in mutants:
        if mutant.slack:
            groups.setdefault(mutant.slack, []).append(mutant)
    for (line, _), members in sorted(groups.items(), key=lambda g: g[0][0]):
        if all(results.get(m.name, False) for m in members):
            yield line, members


def run_all(finder, chosen, programs, options):
    results = {}
    counts = {"killed": 0, "slack": 0, "survived": 0}
    lock = threading.Lock()

    def one(mutant):
        killed, text = judge(programs, mutant, options.deeper)
        with lock:
            results[mutant.name] = killed
            if not killed and mutant.slack:
                text = f"slack, line {mutant.slack[0] + 1}"
            word = "killed" if killed else "slack" if mutant.slack else "survived"
            counts[word] += 1
            print(f"{mutant.name}: {text}, line {mutant.line + 1}", flush=True)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for future in [pool.submit(one, m) for m in chosen]:
            future.result()
    failed = counts["survived"]
    for line, members in stale_slack(finder.mutants, results):
        failed += 1
        print(f"stale slack in line {line + 1}: {', '.join(m.name for m in members)} killed")
    print(
        f"{len(chosen)} mutants: {counts['killed']} killed, {counts['slack']} slack, "
        f"{counts['survived']} survived"
    )
    return failed


def check_finder(finder):
    """The table of what wakes names only what exists, and each sort is found."""
    for name in WAKES:
        if not re.search(rf"\b{name}\s*\(", finder.source.code):
            yield f"{name}, which mutate.py takes for a wake, does not exist"
    for sort in ("weaken", "wake", "recheck"):
        if sum(m.sort == sort for m in finder.mutants) < 10:
            yield f"fewer than 10 mutants of the sort {sort}: mutate.py has lost sight of them"


SMALL = """\
/* -------------------------------------------------------------------------------------------------
   >>api:mutex   Text.
   ---------------------------------------------------------------------------------------------- */
/* Lock. */
CTH_FAST cth_status cth_mutex_lock(cth_mutex *mutex);
CTH_FAST cth_status cth_mutex_lock(cth_mutex *mutex) {
    return cth__cas(&mutex->word, &found, 1, acquire, relaxed) ? CTH_OK : slow(mutex);
}
/* -------------------------------------------------------------------------------------------------
   >>impl:sim   Text.
   ---------------------------------------------------------------------------------------------- */
static void cth__not_here(void) {
    cth__store(&word, 1, release);
}
/* -------------------------------------------------------------------------------------------------
   >>impl:mutex   Text.
   ---------------------------------------------------------------------------------------------- */
static void cth__orders(cth_mutex *mutex) {
    // cth__store(&word, 1, release) in a comment, and a call of two lines:
    while (!cth__cas(&mutex->word, &found, f(1, 2), acq_rel,
                     acquire)) {
    }
    cth__store(&mutex->word, cth__load(&other, acquire), relaxed);
    cth__fence(seq_cst);
    cth__store(&mutex->word, 1, seq_cst);
    cth__add(&mutex->word, 1, release); // slack: for the reader's peace
    // slack(acq_rel->acquire): the other half is needed,
    // as everybody can see
    cth__or(&mutex->word, 1, acq_rel);
#  ifndef CTHREADS_SIM
    cth__store(&mutex->word, 2, release);
#  else
    cth__store(&mutex->word, 3, release);
#  endif
#  ifdef CTHREADS_DEBUG
    cth__store(&mutex->word, 4, release);
#  endif
}
static cth_status cth__wakes_up(cth_mutex *mutex) {
    if (w != NULL && cth__claim(bucket, w, 0, &wakes)) {
        cth__bucket_close(bucket, &wakes);
    }
    (void)cth__claim_all(bucket, mutex, &wakes);
    cth__wake_on(&self->parker, &self->claim);
}
static cth_status cth__sleeps(cth_mutex *mutex) {
    for (;;) {
        cth__bucket *bucket = cth__bucket_lock(mutex, self);
        if (found == 0 ||
            found == 2) {
            cth__unlock(&bucket->lock);
            continue;
        }
        const bool live = cth__load(&word, relaxed) == 0;
        if (live && now) {
            cth__enqueue(bucket, &w, mutex, self, 0);
        }
        if (not_between) {
            continue;
        }
        const cth_status status = cth__park(self, &w, 1, &desc, &won);
        if (status != CTH_OK) {
            return status;
        }
    }
}
static void cth__waits(void) {
    while (cth__load(&wake, relaxed) == 0) {
        cth__wait_on(&parker, &wake, 0, CTH_FOREVER);
        if (found == 3) {
            continue;
        }
    }
    if (w->queued) {
        cth__unlink(bucket, w);
    }
}
static void cth__ends(cth_executor *executor) {
    (void)cth_cond_notify_all(&executor->ended);
    while (executor->alive != 0) {
        (void)cth_cond_wait(&executor->ended, &executor->mutex);
    }
}
"""
# The mutants in it, in order of place: name without section.
SMALL_NAMES = """\
cth_mutex_lock:cth__cas:acquire->relaxed#1
cth__orders:cth__cas:acq_rel->acquire#1
cth__orders:cth__cas:acq_rel->release#1
cth__orders:cth__cas:failed:acquire->relaxed#1
cth__orders:cth__load:acquire->relaxed#1
cth__orders:cth__fence:seq_cst->relaxed#1
cth__orders:cth__store:seq_cst->release#1
cth__orders:cth__add:release->relaxed#1 slack
cth__orders:cth__or:acq_rel->acquire#1 slack
cth__orders:cth__or:acq_rel->release#1
cth__orders:cth__store:release->relaxed#1
cth__wakes_up:cth__claim:dropped#1
cth__wakes_up:cth__bucket_close:dropped#1
cth__wakes_up:cth__claim_all:dropped#1
cth__wakes_up:cth__wake_on:dropped#1
cth__sleeps:if(found == 0 || found == 2):false#1
cth__sleeps:live:false#1
cth__sleeps:live:true#1
cth__sleeps:if(live && now):false#1
cth__sleeps:if(live && now):true#1
cth__sleeps:cth__park:trusted#1
cth__waits:while:if#1
cth__waits:if(found == 3):false#1
cth__waits:if(w->queued):false#1
cth__waits:if(w->queued):true#1
cth__ends:cth_cond_notify_all:dropped#1
cth__ends:while:if#1
"""
SMALL_TEXTS = [
    "f(1, 2), mutant3,\n                     mutant4)) {",
    "    for (int cth__once25 = 0; (cth__once25++ == 0 || !CTH__MUTANT(25)) && "
    "(cth__load(&wake, relaxed) == 0); ) {",
    "(CTH__MUTANT(12) ? (cth__unlink((bucket), (w)), true) : cth__claim(bucket, w, 0, &wakes))",
    "= !CTH__MUTANT(16) && (CTH__MUTANT(17) || (cth__load(&word, relaxed) == 0));",
    "if (!CTH__MUTANT(18) && (found == 0 ||\n            found == 2)) {",
    "&won); if (CTH__MUTANT(21) && status == CTH_OK) { return CTH_OK; }",
]


def self_test():
    finder = Finder(SMALL)
    found = []
    for mutant in sorted(finder.mutants, key=lambda m: m.at):
        found.append(mutant.name.removeprefix("mutex:") + (" slack" if mutant.slack else ""))
        print(f"found: line {mutant.line + 1}: {found[-1]}")
    wanted = SMALL_NAMES.splitlines()
    failures = [f"NOT FOUND: {n}" for n in wanted if n not in found]
    failures += [f"WRONGLY FOUND: {n}" for n in found if n not in wanted]
    spoiled = finder.spoiled()
    numbers = {m.name.removeprefix("mutex:"): m.number for m in finder.mutants}
    for text in SMALL_TEXTS:
        if text not in spoiled:
            failures.append(f"NOT WRITTEN: {text}")
    if spoiled.count("\n") != SMALL.count("\n"):
        failures.append("the lines of the spoiled text have other numbers")
    killed = {m.name: True for m in finder.mutants}
    if [line for line, _ in stale_slack(finder.mutants, killed)] != [25, 26]:
        failures.append("stale slack not found")
    if failures:
        print("\n".join(failures), numbers, spoiled, sep="\n")
    return len(failures)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", type=re.compile)
    parser.add_argument("--section")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--deeper", type=int, default=1)
    parser.add_argument("--skip-failing", action="store_true")
    return parser.parse_args()


def choose(finder, options):
    chosen = [
        m
        for m in finder.mutants
        if (options.only is None or options.only.search(m.name))
        and (options.section is None or m.section == options.section)
    ]
    if options.sample is not None:
        seed = options.seed if options.seed is not None else datetime.date.today().toordinal()
        print(f"a sample of {options.sample} out of {len(chosen)} mutants, --seed {seed}")
        chosen = random.Random(seed).sample(chosen, min(options.sample, len(chosen)))
    return chosen


def main():
    options = parse_arguments()
    if options.self_test:
        return 1 if self_test() else 0
    root = options.root.resolve()
    finder = Finder((root / "cthreads.h").read_text(encoding="utf-8"))
    complaints = list(check_finder(finder))
    for complaint in complaints:
        print(complaint)
    chosen = choose(finder, options)
    if options.list:
        for mutant in chosen:
            print(f"{mutant.line + 1}: {mutant.name}{' slack' if mutant.slack else ''}")
        print(f"{len(chosen)} mutants")
        return 1 if complaints else 0
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(finder, root, folder, options.cc)
        failed = run_all(finder, chosen, programs, options)
    for name, failure in programs.failing.items():
        print(f"{name} {failure}")
        failed += not options.skip_failing
    print(f"{len(programs.seconds)} programs built, {time.monotonic() - start:.0f} s")
    return 1 if failed or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
