#!/usr/bin/env python3
"""Checks docs/python-map.md: it has a row for each public name of the modules it covers and none
for anything else, its C names are declared in cthreads.h, and each snippet compiles and uses a C
name of its row. --self-test spoils the page in several ways and expects complaints. Exit status 77:
skipped."""

import functools
import importlib
import os
import re
import subprocess
import sys
import threading

from header import HEADER, ROOT, only_comments

MODULES = ["threading", "queue", "concurrent.futures"]
ARGUMENTS = {"Barrier": (1,), "Timer": (1, None)}  # of their constructors; others need none
CC = [os.environ.get("CC", "cc"), "-std=c11", "-I", str(ROOT)]
ROW = re.compile(r"^\| (?!Python )(.+?) \| (.+?) \| (.+) \|$", re.M)


def members(thing):
    if thing in (threading.Lock, threading.RLock):
        thing = thing()
    elif not isinstance(thing, type):
        return set()
    elif thing.__module__ in ("threading", "queue"):
        thing = thing(*ARGUMENTS.get(thing.__name__, ()))
    return {name for name in dir(thing) if not name.startswith("_")}


def public(module):
    """Its public names, and Class.member for what a class has and its bases do not."""
    for name in module.__all__:
        yield name
        thing = getattr(module, name)
        inherited = set().union(*map(members, getattr(thing, "__bases__", ())))
        yield from (f"{name}.{member}" for member in members(thing) - inherited)


def check_python(page):
    for module in map(importlib.import_module, MODULES):
        part = re.search(rf"^## {module.__name__}$(.*?)(?=^## |\Z)", page, re.M | re.S)
        wanted, rows = set(public(module)), set()
        for cell, _, _ in ROW.findall(part[1] if part else ""):
            newer = re.search(r" \(3\.1\d\)$", cell)  # than the oldest Python this runs with
            for name in re.findall(r"[\w.]+", re.sub(r"\(.*?\)", "", cell)):
                rows.add(name)
                there = functools.reduce(lambda o, n: getattr(o, n, None), name.split("."), module)
                if there is None and name not in wanted and not newer:
                    yield f"{module.__name__} has no {name}"
        yield from (f"no row for {name}" for name in sorted(wanted - rows))


def declared():
    text = subprocess.check_output(CC + ["-E", "-dD", str(HEADER)], text=True, timeout=60)
    macros = re.findall(r"^#define (\w+)", text, re.M)
    return {*macros, *re.findall(r"\w+", re.sub(r"^#.*", "", text, flags=re.M))}


def check_c(page):
    names = declared()
    for name in re.findall(r"\b(?:cth|CTH)_\w+", page):
        if name not in names:
            yield f"{name} is not declared"
    program = re.search(r"^```c\n(.*?)^```", page, re.M | re.S)[1]
    for row in ROW.finditer(page):
        cell, c, snippet = row.groups()
        if c == "not applicable":
            continue
        if not set(re.findall(r"\w+", c)) & set(re.findall(r"\w+", snippet)):
            yield f"{cell}: the snippet uses none of {c}"
        line = page.count("\n", 0, row.start()) + 1
        program += f"cth_status f{line}(void);\ncth_status f{line}(void) {{\n"
        program += f'# {line} "python-map.md"\n{snippet.strip("`")}\nreturn s; }}\n'
    run = subprocess.run(
        CC + "-Wall -Wextra -Werror -Wno-unused-variable -c -o /dev/null -xc -".split(),
        input=program,
        text=True,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    if run.returncode:
        yield run.stderr


def complaints(page):
    return [*check_python(page), *check_c(page)]


def self_test(page):
    comments = only_comments(HEADER.read_text(encoding="utf-8"))
    commented = min(set(re.findall(r"\bCTH_[A-Z_]+\b", comments)) - declared())
    swaps = {  # complaint: what is replaced, by what
        "threading has no Thread.stop": ("`Thread.start`", "`Thread.stop`"),
        "no row for Thread.start": ("`Thread.start`", "`Thread.run`"),
        "cth_thread_strat is not declared": ("`cth_thread_start`", "`cth_thread_strat`"),
        f"{commented} is not declared": ("`CTH_GUARD`", f"`{commented}`"),
        "uses none of `cth_event_clear`": ("`cth_event_clear(&", "`cth_event_set(&"),
        "too few arguments": ("cth_queue_try_get(&q, &x)", "cth_queue_try_get(&q)"),
        "unused-result": ("`s = cth_thread_start(t);`", "`cth_thread_start(t);`"),
    }
    spoiled = {complaint: page.replace(*swap) for complaint, swap in swaps.items()}
    spoiled["no row for Queue.join"] = re.sub(r"^\| `Queue.join` .*\n", "", page, flags=re.M)
    for complaint, text in spoiled.items():
        if not any(complaint in found for found in complaints(text)):
            sys.exit(f"python map: a spoiled page passes without '{complaint}'")


def main():
    if sys.version_info >= (3, 14):
        print("not checked: this Python may have names that the page does not know")
        sys.exit(77)
    page = (ROOT / "docs" / "python-map.md").read_text(encoding="utf-8")
    if "--self-test" in sys.argv:
        self_test(page)
    elif found := complaints(page):
        sys.exit("python map: " + "\n".join(found))


if __name__ == "__main__":
    main()
