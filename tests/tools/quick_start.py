#!/usr/bin/env python3
"""Does what README.md tells a newcomer: takes its first C program, puts it beside a copy of the
header in an empty folder, builds it by the README's own command and compares the output.

After the program, the README has a block with the commands (lines that begin with `cc` or `./`,
with or without `$ `). The output it promises stands below them, in that block or in the next one.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from header import HEADER, ROOT


def fail(text):
    print(f"quick start: {text}")
    sys.exit(1)


def main():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    first = next((i for i, block in enumerate(blocks) if block[0] == "c"), None)
    if first is None:
        fail("README.md has no C program")
    program = blocks[first][1]
    line = readme[: readme.index(program)].count("\n") + program.count("\n") + 1
    if line > 40:
        fail(f"the program ends in line {line}, not within the first 40")
    commands, output = [], []
    for _, text in blocks[first + 1 :]:
        for row in text.splitlines():
            command = row.removeprefix("$ ")
            if command.startswith(("cc ", "./")):
                commands.append(command)
            elif commands and row.strip():
                output.append(row)
        if output:
            break
    compilers = [c for c in commands if c.startswith("cc ")]
    if len(compilers) != 1 or not output:
        fail(f"expected one cc line and an output, found {commands} and {output}")
    source = re.search(r"\b(\w+\.c)\b", compilers[0])
    if source is None:
        fail(f"no file in: {compilers[0]}")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HEADER, folder)
        Path(folder, source[1]).write_text(program, encoding="utf-8")
        script = re.sub(r"\s*(#.*)?$", "", compilers[0]) + " && ./a.out"
        made = re.search(r" -o (\S+)", compilers[0])
        if made:
            script = script.replace("./a.out", f"./{made[1]}")
        print(script)
        run = subprocess.run(
            script, shell=True, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=60
        )
    if run.returncode != 0:
        fail(f"ended with {run.returncode}")
    if run.stdout.splitlines() != output:
        fail(f"printed {run.stdout.splitlines()}, the README says {output}")
    print(run.stdout, end="")


if __name__ == "__main__":
    main()
