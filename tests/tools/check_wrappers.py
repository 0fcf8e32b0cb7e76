#!/usr/bin/env python3
"""Checks that nothing in cthreads.h bypasses the wrappers the simulator takes over, and that each
memory order has its reason beside it.

  check_wrappers.py              check the header
  check_wrappers.py --self-test  put a bypass of each kind into copies and see that it is found
"""

import re
import sys

from header import HEADER, Header

# What may be used only in the sections named: (what it is, pattern, sections).
PLATFORM = ("impl:platform", "impl:sim")
# The simulator's other floors: they allocate and count for themselves, and do nothing else that
# asks the system for something.
BELOW = PLATFORM + ("impl:explore", "impl:model")
ONLY_IN = [
    (
        "raw atomic operation",
        r"\b(atomic_(load|store|exchange|fetch_\w+|compare_exchange_\w+|flag_\w+)\w*"
        r"|__atomic_\w+|__sync_\w+)\s*\(",
        BELOW + ("api:atomic",),
    ),
    ("memory order", r"\bmemory_order(_\w+)?\b", BELOW + ("api:atomic",)),
    (
        "fence",
        r"\b(atomic_(thread|signal)_fence|__sync_synchronize|_mm_\wfence)\b",
        ("impl:platform", "api:atomic"),
    ),
    ("inline assembly", r"\b(__)?asm(__)?\b", ("impl:platform",)),
    ("allocation", r"\b(malloc|calloc|realloc|free|aligned_alloc|strdup|alloca)\s*\(", BELOW),
    ("clock", r"\b(clock_gettime|timespec_get|gettimeofday|clock|time)\s*\(", PLATFORM),
    ("thread function", r"\b(thrd|tss)_\w+\s*\(|\bcall_once\s*\(", PLATFORM),
    ("lock of the C library", r"\b(mtx|cnd)_\w+\s*\(", PLATFORM),
    ("pthreads", r"\b(pthread|sem|sched)_\w+\s*\(", PLATFORM),
    (
        "sleep",
        r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep|poll|select|pause)\s*\(",
        PLATFORM,
    ),
    ("system call", r"\bsyscall\s*\(|\bSYS_\w+", PLATFORM),
    ("fork or signal", r"\b(fork|sigaction|signal|raise|kill|pipe2?|getpid|gettid)\s*\(", PLATFORM),
    (
        "test for an operating system",
        r"^\s*#.*\b(_WIN32|__APPLE__|__linux__|__unix__|__GLIBC__|_GNU_SOURCE)\b",
        PLATFORM + ("api:config",),
    ),
]

# Single lines that are right where they stand: (section, part of the line, why).
EXCEPTIONS = [
    ("impl:memory", "#    define CTH_MALLOC(size) malloc(size)", "the one door to the allocator"),
    ("impl:memory", "#    define CTH_FREE(p)      free(p)", "the same"),
    ("impl:scoped", "mtx_unlock((mtx_t *)lock)", "CTH_WITH on a C11 lock of the user's"),
    ("impl:scoped", "mtx_trylock(lock)", "the same, where it must not block"),
    ("impl:scoped", "mtx_lock(lock)", "the same"),
    (
        "impl:local",
        "#    define CTH__SEE(p) atomic_load_explicit((p), memory_order_relaxed)",
        "the simulator's report: a wrapper would let another thread run in the middle of it",
    ),
    (
        "impl:local",
        ": ((cth__name *)atomic_load_explicit(&thread->name, memory_order_relaxed))->text;",
        "the same",
    ),
]

# A call of a wrapper; its definition in api:atomic is not looked at.
WRAPPER = re.compile(r"\bcth__(load|store|swap|add|sub|or|and|cas_weak|cas|fence)\s*\(")
MARKED = re.compile(r"\bCTH_SIM_(READ|WRITE|FREED|FRESH|NAME)\([^()]*(\([^()]*\)[^()]*)*\)")
ORDERS = ("relaxed", "acquire", "release", "acq_rel", "seq_cst")
LABEL = re.compile(r"\[[a-z]+\.[A-Z][A-Z0-9]*\]")
RELAXED = re.compile(r"\brelaxed\b[^.\n]*:")
# How many lines above an operation its comment may end.
NEAR = 3


def excepted(section, line):
    return any(tag == section.tag and part in line for tag, part, _ in EXCEPTIONS)


def check_bypasses(header):
    for section in header.sections:
        for number in range(section.first, section.end):
            code = header.code[number]
            for what, pattern, allowed in ONLY_IN:
                if section.tag in allowed or excepted(section, header.lines[number]):
                    continue
                if match := re.search(pattern, code):
                    yield f"line {number + 1}: {what} '{match[0].strip()}' in >>{section.tag}"


def call_text(code, number, start):
    """The text of a call that begins on a line, up to its closing parenthesis."""
    text = "\n".join([code[number][start:]] + code[number + 1 : number + 8])
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and letter == ")":
            return text[: index + 1]
    return text


def reason(header, number):
    """The comments on a line and those that end up to NEAR lines above, each as a whole. Uses on
    lines that follow each other share their comment."""
    last = number
    while WRAPPER.search(header.code[number - 1]):
        number -= 1
    first = number
    for line in range(number, max(number - NEAR, 0) - 1, -1):
        if header.comments[line].strip():
            first = line
    while header.comments[first - 1].strip() and not header.code[first - 1].strip():
        first -= 1
    return "\n".join(header.comments[first : last + 1])


def check_orders(header):
    """Each use of a wrapper has a comment near: a [label] for an order that pairs with another,
    `relaxed: why` for one that does not."""
    uses = 0
    for section in header.sections:
        if section.tag == "api:atomic":
            continue
        for number in range(section.first, section.end):
            for match in WRAPPER.finditer(header.code[number]):
                uses += 1
                call = call_text(header.code, number, match.start())
                orders = [o for o in ORDERS if re.search(rf"\b{o}\b", call)]
                text = reason(header, number)
                where = f"line {number + 1}: cth__{match[1]} in >>{section.tag}"
                if not orders:
                    yield f"{where} names no memory order"
                elif LABEL.search(text):
                    continue
                elif orders != ["relaxed"]:
                    yield f"{where} ({', '.join(orders)}): no [label] within {NEAR} lines above"
                elif not RELAXED.search(text):
                    yield f"{where}: no 'relaxed: why' within {NEAR} lines above"
    if uses < 8:
        yield f"only {uses} uses of the wrappers found; this check has lost sight of them"


def check_labels(header):
    """A label that a comment pairs with is the label of some operation."""
    labels = set()  # those that begin a comment
    pairs = []
    for number, line in enumerate(header.comments):
        if match := re.match(r"^\s*(?://|/\*)\s*(\[[a-z]+\.[A-Z][A-Z0-9]*\])", line):
            labels.add(match[1])
        elif match := re.search(r"(?://|/\*)\s*(\[[a-z]+\.[A-Z][A-Z0-9]*\])", line):
            labels.add(match[1])
        for match in LABEL.finditer(line):
            pairs.append((number, match[0]))
    for number, label in pairs:
        if label not in labels:
            yield f"line {number + 1}: no operation has the label {label}"


def check_words(header):
    """A field that is an atomic word is touched through a wrapper only: its address is taken, its
    value never. (Names that are also those of plain fields are left out.) What CTH_SIM_READ and
    its like are given, they only take the address of."""
    sections = [s for s in header.sections if s.tag not in BELOW]
    text = "\n".join("\n".join(header.code[s.first : s.end]) for s in sections)
    declared = set(re.findall(r"\bcth__(?:word|ptr)\s+(\w+)\s*(?:\[\w*\])?;", text))
    plain = set(
        re.findall(
            r"^\s+(?!return\b|goto\b|cth__(?:word|ptr)\b)[a-z_][\w ]*[ *]+(\w+)(?:\[\w*\])?;",
            text,
            re.MULTILINE,
        )
    )
    names = sorted(declared - plain)
    if not names:
        yield "no atomic fields found; this check has lost sight of them"
        return
    path = r"((?:\b\w+(?:\[[^\]]*\])?(?:->|\.))+)"
    use = re.compile(rf"([&*]?)\(?{path}({'|'.join(names)})\b(?!\s*\()")
    for section in sections:
        for number in range(section.first, section.end):
            if header.code[number].lstrip().startswith("#"):
                continue
            for match in use.finditer(MARKED.sub("", header.code[number])):
                if match[1] != "&" and not excepted(section, header.lines[number]):
                    where = f"in >>{section.tag}"
                    yield f"line {number + 1}: {match[0].strip()} without a wrapper {where}"


def check(text):
    header = Header(text)
    yield from check_bypasses(header)
    yield from check_orders(header)
    yield from check_labels(header)
    yield from check_words(header)


def shortened(text):
    """The header, whole where the self-test plants most; of the other sections only the banners.
    All of it, forty times, would take a third of a minute."""
    header = Header(text)
    kept = []
    for section in header.sections:
        lines = header.lines[section.first - 1 : section.end - 1]  # the rule above belongs to it
        if section.name not in ("mutex", "atomic"):
            lines = lines[: next(n for n, line in enumerate(lines) if "*/" in line) + 1]
        kept += lines
    return "\n".join(kept + ["/*", "*/"])


def self_test(text):
    text = shortened(text)
    header = Header(text)

    def insert(code, tag="impl:mutex"):
        """The header with some lines of code at the end of a section."""
        section = next(s for s in header.sections if s.tag == tag)
        # One before the rule of the next banner.
        above, below = header.lines[: section.end - 1], header.lines[section.end - 1 :]
        return "\n".join(above + [""] * 5 + code + [""] + below)

    planted = [
        ("raw atomic", "raw atomic operation", ["x = atomic_load_explicit(&m->word, y);"]),
        ("plain atomic", "raw atomic operation", ["atomic_store(&m->word, 1);"]),
        ("builtin atomic", "raw atomic operation", ["__atomic_store_n(&m->w, 1, 5);"]),
        ("memory order", "memory order", ["order = memory_order_acquire;"]),
        ("fence", "fence", ["atomic_thread_fence(order);"]),
        ("inline assembly", "inline assembly '__asm__'", ['__asm__ volatile("pause");']),
        ("realloc", "allocation 'realloc('", ["p = realloc(p, 8);"]),
        ("raise", "fork or signal 'raise('", ["raise(6);"]),
        ("malloc", "allocation 'malloc('", ["p = malloc(8);"]),
        ("free", "allocation 'free('", ["free(p);"]),
        ("clock", "clock 'clock_gettime('", ["clock_gettime(CLOCK_MONOTONIC, &t);"]),
        ("timespec_get", "clock 'timespec_get('", ["timespec_get(&t, TIME_UTC);"]),
        ("thread start", "thread function 'thrd_create('", ["thrd_create(&t, f, NULL);"]),
        ("C11 lock", "lock of the C library 'mtx_lock('", ["mtx_lock(&m->lock);"]),
        ("pthread lock", "pthreads 'pthread_mutex_lock('", ["pthread_mutex_lock(&m->lock);"]),
        ("sleep", "sleep 'nanosleep('", ["nanosleep(&t, NULL);"]),
        ("futex", "system call 'syscall('", ["syscall(SYS_futex, &m->word);"]),
        ("operating system", "test for an operating system", ["#if defined(__linux__)", "#endif"]),
        ("bare acquire", "(acquire): no [label]", ["x = cth__load(&m->word, acquire);"]),
        ("weak swap", "(relaxed, acquire): no", ["cth__cas_weak(&w, &x, 1, acquire, relaxed);"]),
        ("bare fence", "cth__fence in >>impl:mutex (seq_cst): no", ["cth__fence(seq_cst);"]),
        ("bare relaxed", "no 'relaxed: why'", ["x = cth__load(&m->word, relaxed);"]),
        (
            "acquire called relaxed",
            "(acquire): no [label]",
            ["// relaxed: a guess.", "x = cth__load(&m->word, acquire);"],
        ),
        (
            "two orders, one reason",
            "(relaxed, acquire): no [label]",
            ["// relaxed: a guess.", "cth__cas(&m->word, &x, 1,", "         acquire, relaxed);"],
        ),
        ("no order", "names no memory order", ["// [mutex.A] x", "cth__load(&m->word, o);"]),
        ("label of nothing", "no operation has the label [mutex.Z9]", ["// pairs with [mutex.Z9]"]),
        ("plain read of a word", "without a wrapper", ["if (mutex->word == 0) { return; }"]),
        ("plain write of a word", "without a wrapper", ["mutex->word = 0;"]),
    ]
    before = list(check(text))
    failures = 0
    for what, message, code in planted:
        found = [c for c in check(insert(code)) if message in c]
        fresh = len(found) > len([c for c in before if message in c])
        failures += not fresh
        print(f"{'found' if fresh else 'NOT FOUND'}: {what}: {found[-1] if found else message}")
    for tag, message, code in [
        ("impl:model", "clock", "clock_gettime(CLOCK_MONOTONIC, &t);"),
        ("impl:explore", "raise", "raise(6);"),
        ("impl:model", "fence", "atomic_thread_fence(memory_order_seq_cst);"),
        ("impl:sim", "inline assembly", '__asm__ volatile("pause");'),
    ]:
        if not any(message in c for c in set(check(insert([code], tag))) - set(before)):
            failures += 1
            print(f"NOT FOUND: {message} in >>{tag}")
    for tag, code in [
        ("impl:explore", "p = realloc(p, 8);"),
        ("impl:model", "x = atomic_load_explicit(p, memory_order_relaxed); free(x);"),
        ("impl:sim", "(void)signal(6, SIG_DFL); (void)raise(6);"),
        ("impl:platform", '__asm__ volatile("pause");'),
        ("api:atomic", "#define cth__fence(order) atomic_thread_fence(memory_order_##order)"),
    ]:
        if len(list(check(insert([code], tag)))) != len(before):
            failures += 1
            print(f"WRONGLY FOUND: in >>{tag}: {code}")
    allowed = [
        ["// The text malloc(8) in a comment, and", 'x = "free(p) in a string";'],
        ["// relaxed: a guess, checked later.", "x = cth__load(&mutex->word, relaxed);"],
        ["// [mutex.A] acquire: sees it.", "x = cth__load(&mutex->word, acquire);"],
        ["my_free(p); x.free = 1; cth__free(p);"],
        ["CTH_SIM_WRITE(mutex->word); CTH_SIM_FREED(list[at(1)].word);"],
    ]
    for code in allowed:
        if len(list(check(insert(code)))) != len(before):
            failures += 1
            print(f"WRONGLY FOUND: {code}")
    return failures


def main():
    text = HEADER.read_text(encoding="utf-8")
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test(text) else 0
    complaints = list(check(text))
    for complaint in complaints:
        print(complaint)
    print(f"wrappers: {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
