#!/usr/bin/env python3
"""Checks docs/python-map.md: it has every public name of the modules it covers, its C names exist
in cthreads.h, its snippets compile. --self-test spoils the page and expects complaints."""

import importlib
import os
import re
import subprocess
import sys

from header import HEADER, ROOT

MODULES = ["queue"]


def complaints(page):
    found = []
    header = set(re.findall(r"\b(?:cth|CTH)_\w+", HEADER.read_text(encoding="utf-8")))
    found += [f"no {n}" for n in re.findall(r"\b(?:cth|CTH)_\w+", page) if n not in header]
    for module in map(importlib.import_module, MODULES):
        part = re.search(rf"^## {module.__name__}$(.*?)(?=^## |\Z)", page, re.M | re.S)
        rows = re.findall(r"^\| (\w+) \|", part[1] if part else "", re.M)
        for name in module.__all__:
            thing = getattr(module, name)
            names = [name]
            if isinstance(thing, type) and not issubclass(thing, BaseException):
                names += [n for n in dir(thing) if not n.startswith("_")]
            found += [f"no row for {n}" for n in names if n not in rows]
    text = '#include "cthreads.h"\nint compare(const void *, const void *, void *);\n'
    for i, snippet in enumerate(re.findall(r"^\| .*\| `(.*)` \|$", page, re.M)):
        text += f"void f{i}(cth_queue q, int x, cth_status s);\n"
        text += f"void f{i}(cth_queue q, int x, cth_status s) {{ {snippet} }}\n"
    command = [os.environ.get("CC", "cc"), "-std=c11", "-fsyntax-only", "-I", str(ROOT)]
    run = subprocess.run(
        command + ["-xc", "-"], input=text, text=True, stderr=subprocess.PIPE, timeout=60
    )
    return found + ([run.stderr] if run.returncode else [])


def main():
    page = (ROOT / "docs" / "python-map.md").read_text(encoding="utf-8")
    if "--self-test" in sys.argv:
        row = re.search(r"^\| join \|.*\n", page, re.M)[0]
        for bad in (page.replace(row, ""), page + "\ncth_nothing\n", page.replace("(&q);", "(&q;")):
            if not complaints(bad):
                sys.exit("python map: a spoiled page passes")
        return
    found = complaints(page)
    if found:
        sys.exit("python map: " + "\n".join(found))


if __name__ == "__main__":
    main()
