"""Reads cthreads.h for the checks in this folder: sections, prototypes, text without comments.

As a program it prints the public functions, one per line, each after "both " or, when only the
simulator build has it, "sim ":  python3 header.py path/to/cthreads.h
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "cthreads.h"

BANNER = re.compile(r"^   >>(api|impl):([a-z]+)\b")
# The contents list stands in the head comment and is indented further than the banners.
CONTENTS = re.compile(r"^       >>(api|impl):([a-z]+)\b")
FUNCTION = re.compile(r"\b(cth_[a-z0-9_]+)\s*\(")


TOKEN = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)


def spaces(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text):
    """The text with comments and the insides of string and character literals turned into spaces;
    lines keep their numbers."""

    def blank(match):
        found = match[0]
        if found[0] == "/":
            return spaces(found)
        return found[0] + spaces(found[1:-1]) + found[0]

    return TOKEN.sub(blank, text)


def only_comments(text):
    """The reverse: all that is no comment turned into spaces."""
    result = []
    end = 0
    for match in TOKEN.finditer(text):
        result.append(spaces(text[end : match.start()]))
        result.append(match[0] if match[0][0] == "/" else spaces(match[0]))
        end = match.end()
    result.append(spaces(text[end:]))
    return "".join(result)


class Section:
    def __init__(self, kind, name, first):
        self.kind = kind
        self.name = name
        self.first = first  # number of the banner's line, counted from 0
        self.end = first  # one after the last line

    @property
    def tag(self):
        return f"{self.kind}:{self.name}"


class Prototype:
    def __init__(self, name, fast, line, section, simulator):
        self.name = name
        self.fast = fast
        self.line = line
        self.section = section
        self.simulator = simulator

    @property
    def public(self):
        return not self.name.startswith("cth__")


class Header:
    def __init__(self, text):
        self.text = text
        self.lines = text.split("\n")
        self.code = without_comments(text).split("\n")
        self.comments = only_comments(text).split("\n")
        self.contents = []  # (line, tag)
        self.sections = []
        for number, line in enumerate(self.lines):
            if match := CONTENTS.match(line):
                self.contents.append((number, f"{match[1]}:{match[2]}"))
            elif match := BANNER.match(line):
                if self.sections:
                    self.sections[-1].end = number
                self.sections.append(Section(match[1], match[2], number))
        if self.sections:
            self.sections[-1].end = len(self.lines)

    def section_at(self, line):
        for section in self.sections:
            if section.first <= line < section.end:
                return section
        return None

    def _declarations(self, kind):
        """Everything that begins with CTH_API or CTH_FAST at the left margin: (line, text up to
        the first ; or {, whether it is a definition, whether it is for the simulator only)."""
        simulator = []  # for each open #if: whether it holds in the simulator build only
        for number, line in enumerate(self.code):
            if match := re.match(r"^#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)", line):
                word, rest = match[1], match[2]
                if word in ("if", "ifdef", "ifndef"):
                    simulator.append(word == "ifdef" and rest.strip() == "CTHREADS_SIM")
                elif word == "endif" and simulator:
                    simulator.pop()
                elif simulator:
                    simulator[-1] = False
            section = self.section_at(number)
            if section is None or section.kind != kind:
                continue
            if match := re.match(r"^CTH_(API|FAST)\b", line):
                rest = "\n".join([line] + self.code[number + 1 : number + 12])
                text = re.split(r"[;{]", rest, maxsplit=1)[0]
                defines = rest[len(text) : len(text) + 1] == "{"
                yield number, text, defines, match[1] == "FAST", any(simulator), section

    def prototypes(self):
        found = []
        for number, text, defines, fast, simulator, section in self._declarations("api"):
            if not defines:
                name = FUNCTION.search(text)
                if name:
                    found.append(Prototype(name[1], fast, number, section, simulator))
        return found

    def definitions(self, fast):
        """Names in order: of the inline functions, which stand at the end of the API part, or of
        the ordinary ones in the implementation."""
        found = []
        for number, text, defines, is_fast, simulator, section in self._declarations(
            "api" if fast else "impl"
        ):
            if defines and is_fast == fast:
                name = FUNCTION.search(text)
                if name:
                    found.append(Prototype(name[1], fast, number, section, simulator))
        return found


def read(path=HEADER):
    return Header(Path(path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    for prototype in read(sys.argv[1]).prototypes():
        if prototype.public:
            print("sim" if prototype.simulator else "both", prototype.name)
