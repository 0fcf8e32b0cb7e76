#!/usr/bin/env python3
"""Checks that cthreads.h and the files around it are laid out as its contents list says.

  check_layout.py              check the project
  check_layout.py --self-test  spoil copies of the header and see that each fault is found
"""

import re
import subprocess
import sys

from header import HEADER, ROOT, Header

# Sections without a test program of their own, and why.
NO_UNIT_TEST = {
    "config": "macros for the compiler; tests/compile is their test",
    "sim": "only in the simulator build, so sim_sim.c is its test",
    "atomic": "private wrappers; every other test runs through them",
    "progress": "small, and each program costs time: in test_main.c",
}
NO_SIM_TEST = {
    "config": "as above",
    "atomic": "as above",
    "future": "an executor makes it: sim_executor.c is its test",
    "progress": "as above: sim_main.c",
    "status": "texts, and one text per thread: nothing in it waits",
    "rng": "used by one thread at a time: nothing in it waits",
}
# Functions whose definition needs a floor above that of their section: name: (section, why).
ELSEWHERE = {
    "cth_sleep": ("wait", "it sleeps in the table of waiters"),
    "cth_sleep_until": ("wait", "the same"),
    "cth_fail": ("hook", "the text is kept in the thread's record"),
    "cth_error_text": ("hook", "the same"),
}
COLUMNS = 100
SOURCES = (".c", ".h", ".cc", ".cpp", ".py", ".sh")


def check_tags(header):
    """Each tag stands once in the contents and once at its section, in the same order; sections
    of both parts keep one order."""
    contents = [tag for _, tag in header.contents]
    banners = [section.tag for section in header.sections]
    if len(contents) < 20:
        yield f"the contents list has only {len(contents)} tags"
    for tag in sorted(set(contents + banners)):
        if contents.count(tag) != 1:
            yield f">>{tag} stands {contents.count(tag)} times in the contents, not once"
        if banners.count(tag) != 1:
            yield f">>{tag} has {banners.count(tag)} section banners, not one"
    if contents != banners:
        for listed, found in zip(contents, banners):
            if listed != found:
                yield f"the contents say >>{listed} where the sections have >>{found}"
                break
    api = [s.name for s in header.sections if s.kind == "api"]
    impl = [s.name for s in header.sections if s.kind == "impl"]
    if [n for n in api if n in impl] != [n for n in impl if n in api]:
        yield "sections that both parts have stand in different orders"
    for tag in re.findall(r">>((?:api|impl):[a-z]+)", header.text):
        if tag not in banners:
            yield f">>{tag} is mentioned, but there is no such section"


def check_banners(header):
    """A banner is a comment that begins with a rule."""
    for section in header.sections:
        if not re.match(r"^/\* -{80,}$", header.lines[section.first - 1]):
            yield f"line {section.first + 1}: no rule above the banner of >>{section.tag}"


def check_comments(header):
    """The contract of each public function ends on the line above its prototype."""
    for prototype in header.prototypes():
        if prototype.public and not header.comments[prototype.line - 1].rstrip().endswith("*/"):
            yield f"line {prototype.line + 1}: no comment directly above {prototype.name}"


def names_of(prototypes):
    return [p.name for p in prototypes]


def check_order(header):
    """Definitions stand in the order of the prototypes, each in its section, and each prototype
    has one."""
    prototypes = header.prototypes()
    names = names_of(prototypes)
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"{name} has more than one prototype"
    if len(names) < 50:
        yield f"only {len(names)} prototypes found; this check has lost sight of them"
    for fast in (True, False):
        wanted = {p.name: p.section.name for p in prototypes if p.fast == fast}
        defined = {}  # name: section; the first of the alternatives that #if gives
        for definition in header.definitions(fast):
            if definition.name in wanted:
                defined.setdefault(definition.name, definition.section.name)
            elif not fast and definition.public:
                yield f"line {definition.line + 1}: {definition.name} has no prototype"
        for name in wanted:
            if name not in defined:
                yield f"{name} has a prototype and no definition"
        in_order = {}  # section: its public functions in the order of their prototypes
        for name, section in wanted.items():
            if name not in defined or name.startswith("cth__"):
                continue
            place = section
            if name in ELSEWHERE:
                place = ELSEWHERE[name][0]
            if not fast and defined[name] != place:
                yield f"{name} is defined in >>impl:{defined[name]}, not in >>impl:{place}"
            else:
                in_order.setdefault((section, place), []).append(name)
        for names in in_order.values():
            for declared, found in zip(names, [n for n in defined if n in names]):
                if declared != found:
                    yield f"{found} is defined where {declared} is declared: the orders differ"
                    break
    for name in ELSEWHERE:
        if name not in names_of(prototypes):
            yield f"{sys.argv[0]} makes an exception for {name}, which does not exist"


def check_version(header, changelog):
    """Line 1, the macros and the newest entry of the changelog say the same version."""
    macro = re.compile(r"^#\s*define CTH_VERSION_(?:MAJOR|MINOR|PATCH) +(\d+)$", re.MULTILINE)
    numbers = macro.findall(header.text)
    version = ".".join(numbers)
    if len(numbers) != 3:
        yield "the macros CTH_VERSION_MAJOR, _MINOR and _PATCH are not all there"
    if f'define CTH_VERSION_STRING "{version}"' not in header.text:
        yield f"CTH_VERSION_STRING is not {version}"
    if not header.lines[0].startswith(f"/* cthreads.h - v{version} - "):
        yield f"line 1 does not say v{version}"
    entries = re.findall(r"^## \[?v?(\d+\.\d+\.\d+)", changelog, re.M)
    if not entries or entries[0] != version:
        yield f"the newest entry of CHANGELOG.md is {entries[:1]}, not {version}"


def check_licence(header):
    if "SPDX-License-Identifier: MIT-0 OR Unlicense" not in header.text:
        yield "no SPDX line"
    tail = "\n".join(header.lines[-70:])
    for text in ("MIT No Attribution", "This is free and unencumbered software"):
        if text not in tail:
            yield f"the licence at the end of the header does not contain '{text}'"


def check_tests(header):
    """Each section has its tests, under its name."""
    for kind, exceptions in (("test", NO_UNIT_TEST), ("sim", NO_SIM_TEST)):
        for section in header.sections:
            if section.kind == "api" and section.name not in exceptions:
                if not (ROOT / "tests" / f"{kind}_{section.name}.c").is_file():
                    yield f"no tests/{kind}_{section.name}.c"
        for name in exceptions:
            if f"api:{name}" not in [s.tag for s in header.sections]:
                yield f"{sys.argv[0]} makes an exception for >>api:{name}, which does not exist"


def check_text(name, text, columns=COLUMNS):
    """ASCII, no tabs, no trailing blanks, no long lines."""
    for number, line in enumerate(text.split("\n"), 1):
        if columns and len(line) > columns:
            yield f"{name}:{number}: {len(line)} columns"
        if not line.isascii():
            yield f"{name}:{number}: not ASCII"
        if "\t" in line:
            yield f"{name}:{number}: tab"
        if line != line.rstrip():
            yield f"{name}:{number}: blanks at the end"
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield f"{name}: does not end with one line end"


def check_header(text, changelog):
    header = Header(text)
    yield from check_tags(header)
    yield from check_banners(header)
    yield from check_comments(header)
    yield from check_order(header)
    yield from check_version(header, changelog)
    yield from check_licence(header)
    yield from check_text("cthreads.h", text)


def project_files():
    """The source files of the project: those git knows, or would add."""
    listed = subprocess.run(
        # safe.directory: the checkout may belong to another user than the one who checks it.
        "git -c safe.directory=* ls-files -z --cached --others --exclude-standard".split(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked archive
        paths = [p for p in ROOT.rglob("*") if "build" not in p.relative_to(ROOT).parts[:1]]
    return sorted(p for p in paths if p.suffix in SOURCES and p != HEADER and p.is_file())


def check_project(text, changelog):
    yield from check_header(text, changelog)
    yield from check_tests(Header(text))
    for path in project_files():
        # How long a line of C may be, clang-format decides, which leaves comments as they are.
        columns = COLUMNS if path.suffix in (".py", ".sh") else None
        name = path.relative_to(ROOT)
        yield from check_text(name, path.read_text(encoding="utf-8"), columns)


def self_test(text, changelog):
    """Each spoiled copy must bring a message that the whole header does not bring."""

    def change(old, new):
        assert old in text, old
        return text.replace(old, new, 1)

    def swap(first, second):
        assert first in text and second in text
        return text.replace(first, "\0", 1).replace(second, first, 1).replace("\0", second, 1)

    def change_last(old, new):
        assert old in text, old
        return new.join(text.rsplit(old, 1))

    def on_line(source, number, old, new):
        lines = source.split("\n")
        assert old.name in lines[number], lines[number]
        lines[number] = lines[number].replace(old.name, new.name, 1)
        return "\n".join(lines)

    header = Header(text)
    mutex = next(s for s in header.sections if s.tag == "api:mutex")
    banner = header.lines[mutex.first]
    status = next(p for p in header.prototypes() if p.name == "cth_status_text")
    above = header.lines[status.line - 1]
    first, second = [d for d in header.definitions(False) if d.section.tag == "impl:status"][:2]

    # What is spoiled, and what the complaint about it must contain.
    spoiled = [
        ("a missing banner", ">>api:mutex has 0 section banners", change(banner + "\n", "")),
        (
            "a banner without its rule",
            "no rule above the banner of >>api:mutex",
            change(header.lines[mutex.first - 1] + "\n" + banner, "/*\n" + banner),
        ),
        (
            "a tag missing in the contents",
            f">>{header.contents[3][1]} stands 0 times",
            change(header.lines[header.contents[3][0]] + "\n", ""),
        ),
        (
            "contents in another order",
            f"the contents say >>{header.contents[4][1]} where",
            swap(header.lines[header.contents[3][0]], header.lines[header.contents[4][0]]),
        ),
        (
            "a line between contract and prototype",
            "no comment directly above cth_status_text",
            change(above + "\n", above + "\n\n"),
        ),
        (
            "inline functions in another order",
            "cth_mutex_unlock is defined where cth_mutex_lock is declared",
            swap(
                "CTH_FAST cth_status cth_mutex_lock(cth_mutex *mutex) {",
                "CTH_FAST cth_status cth_mutex_unlock(cth_mutex *mutex) {",
            ),
        ),
        (
            "functions in another order",
            f"{second.name} is defined where {first.name} is declared",
            on_line(on_line(text, first.line, first, second), second.line, second, first),
        ),
        (
            "a definition that is gone",
            "cth_event_wait has a prototype and no definition",
            change("CTH_FAST cth_status cth_event_wait(cth_event *event) {", "int f(void) {"),
        ),
        (
            "another version in line 1",
            "line 1 does not",
            change("cthreads.h - v", "cthreads.h - v9"),
        ),
        (
            "another version in the text",
            "CTH_VERSION_STRING is not",
            change('VERSION_STRING "', 'VERSION_STRING "9'),
        ),
        ("a long line", f"{COLUMNS + 6} columns", text + "/* " + "x" * COLUMNS + " */\n"),
        ("a letter that is not ASCII", "not ASCII", text + "/* \u00e9 */\n"),
        ("a tab", "tab", text + "int\tx;\n"),
        ("no licence", "MIT No Attribution", change_last("MIT No Attribution", "")),
    ]
    before = list(check_header(text, changelog))
    failures = 0

    def expect(what, message, copy, log):
        nonlocal failures
        found = [c for c in check_header(copy, log) if message in c]
        fresh = len(found) > len([c for c in before if message in c])
        failures += not fresh
        print(f"{'found' if fresh else 'NOT FOUND'}: {what}: {found[-1] if found else message}")

    for what, message, copy in spoiled:
        expect(what, message, copy, changelog)
    newest = "newest entry of CHANGELOG.md is ['99.0.0']"
    expect("a changelog ahead of the header", newest, text, "## [99.0.0]\n" + changelog)
    return failures


def main():
    text = HEADER.read_text(encoding="utf-8")
    path = ROOT / "CHANGELOG.md"
    changelog = path.read_text(encoding="utf-8") if path.is_file() else ""
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test(text, changelog) else 0
    complaints = list(check_project(text, changelog))
    for complaint in complaints:
        print(complaint)
    print(f"layout: {len(complaints)} complaints, {len(project_files())} files beside the header")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
