#!/usr/bin/env python3
"""Run a demo program and check what must be true of its output in every run.

    check.py ARTICLE/FILE EXE            run it once, in real time
    check.py ARTICLE/FILE EXE --sim [N]  EXE was built with -DCTHREADS_SIM: run the seeds 1..N
                                         (20), each twice, which must give the same output twice
    check.py --index EXAMPLES            every program in the folder has an entry here and a line
                                         in its README.md, and the other way round

The checks are invariants, not one lucky order: what the scheduler may change is left open. Times
are checked in one direction only: never early. In a simulator run the clock is virtual, so there
an order that follows from the sleeps is checked too (`run.sim`).

A program without an entry fails. So does one that ends with a status other than 0, writes a thread
failure to stderr, or does not end.
"""

import argparse
import collections
import contextlib
import functools
import glob
import http.server
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

REAL_LIMIT = 110  # seconds until a program counts as hanging: a watchdog, not a speed test
SIM_LIMIT = 60
SEEDS = 200
TWICE = 20  # so many of them are run twice, to see that a seed gives one output
CTIME = re.compile(r"^(?P<name>Thread-\d): \w{3} \w{3} [ \d]\d (\d\d):(\d\d):(\d\d) \d{4}$")


class Bad(Exception):
    """An invariant that does not hold."""


def need(condition, message):
    if not condition:
        raise Bad(message)


class Run:
    """One run of a program: its lines, how long it took, whether time was virtual, and the seconds
    it took of a CPU."""

    def __init__(self, text, elapsed, sim, cpu=0):
        need(text == "" or text.endswith("\n"), "the output ends in the middle of a line")
        self.lines = text.splitlines()
        self.elapsed = elapsed
        self.sim = sim
        self.cpu = cpu

    def at_least(self, seconds):
        """The program may not be faster than its sleeps. Virtual time is not seen from outside."""
        need(self.sim or self.elapsed >= seconds,
             "it took %.3f s, less than %g s" % (self.elapsed, seconds))

    def exactly(self, *lines):
        need(self.lines == list(lines), "expected exactly these lines: %r" % (lines,))

    def any_order(self, *lines):
        need(sorted(self.lines) == sorted(lines),
             "expected these lines in any order: %r" % (lines,))

    def before(self, first, second):
        """Both lines are there, and the first one stands before the second one."""
        for line in (first, second):
            need(self.lines.count(line) == 1, "expected one line %r" % line)
        need(self.lines.index(first) < self.lines.index(second),
             "%r must come before %r" % (first, second))

    def in_order(self, *lines):
        for first, second in zip(lines, lines[1:]):
            self.before(first, second)

    def times(self, delays, prints):
        """Every thread printed `prints` lines with the time, its delay apart. Returns the names in
        the order of their lines."""
        stamps = {}
        names = []
        for line in self.lines:
            match = CTIME.match(line)
            if match:
                hour, minute, second = (int(part) for part in match.groups()[1:])
                stamps.setdefault(match["name"], []).append((hour * 60 + minute) * 60 + second)
                names.append(match["name"])
        need(set(stamps) == set(delays), "time lines of %s, expected those of %s"
             % (sorted(stamps), sorted(delays)))
        for name, delay in delays.items():
            need(len(stamps[name]) == prints, "%s printed %d times" % (name, len(stamps[name])))
            for earlier, later in zip(stamps[name], stamps[name][1:]):
                gap = (later - earlier) % 86400
                # The wall clock may be adjusted while the program runs; virtual time may not.
                need(gap >= (delay if self.sim else delay - 1),
                     "two lines of %s are %d s apart, not %d s" % (name, gap, delay))
        return names

    def never_inside_more_than(self, limit, enter, leave, count):
        """Lines that match `enter` and `leave` (group 1: who) come in pairs, `count` of them, and
        at no point are more than `limit` open. Returns the greatest number that was open."""
        inside, done, most = set(), set(), 0
        for line in self.lines:
            entered, left = re.fullmatch(enter, line), re.fullmatch(leave, line)
            need(entered or left, "unexpected line %r" % line)
            if entered:
                who = entered[1]
                need(who not in inside and who not in done, "%s entered twice" % who)
                inside.add(who)
                most = max(most, len(inside))
                need(len(inside) <= limit, "%d inside at %r" % (len(inside), line))
            else:
                need(left[1] in inside, "%s left without having entered" % left[1])
                inside.remove(left[1])
                done.add(left[1])
        need(not inside and len(done) == count, "%d of %d came through" % (len(done), count))
        return most


def blocks(names, length):
    """The names come in blocks of `length` equal ones."""
    for start in range(0, len(names), length):
        block = names[start:start + length]
        need(len(set(block)) == 1 and len(block) == length, "the blocks interleave: %s" % names)


ENTRIES = {}


class Entry:
    """What is known of one program: its check, its arguments, and what some seed must show."""

    def __init__(self, check, args, sim_args, shows, normal, explores, also):
        self.check = check
        self.also = also
        self.args = args
        self.sim_args = args if sim_args is None else sim_args
        self.shows = shows
        self.normal = normal
        self.explores = explores


def entry(*names, args=(), sim_args=None, shows=None, normal=None, explores=False, also=None):
    """Make the function the check of these programs. `sim_args` replaces the arguments in the
    simulator. `shows(lines)`: among SEEDS seeds or more it is true for one and false for another.
    `normal(text)` takes out of the output what may differ between two runs of a seed. `explores`:
    it calls cth_sim_run, so it is given no seeds, and two runs must print the same. `also(exe)`:
    more to do with it in real time; for a server all there is to do."""

    def register(function):
        for name in names:
            assert name not in ENTRIES, name
            ENTRIES[name] = Entry(function, args, sim_args, shows, normal, explores, also)
        return function

    return register


def server(name):
    """Make the function the check of a program that does not end by itself: it is given the
    executable, and runs it in real time."""

    def register(function):
        entry(name, also=function)(None)
        return function

    return register


# ---- master_python_threading, python_multithreading --------------------------------------------


@entry("master_python_threading/a1_functional_style",
       "master_python_threading/a1_functional_style_fixed",
       "python_multithreading/b2_thread_module",
       "python_multithreading/b2_thread_module_fixed")
def two_clocks(run):
    run.times({"Thread-1": 2, "Thread-2": 4}, 5)
    need(len(run.lines) == 10, "more than the ten lines")
    run.at_least(20)


@entry("master_python_threading/a2_class_style")
def class_style(run):
    run.times({"Thread-1": 1, "Thread-2": 2}, 5)
    answers = [line for line in run.lines if "Alive?" in line]
    need(answers == ["Thread-1 is Alive? False", "Thread-1 is Alive? True",
                     "Thread-1 is Alive? False"], "the answers were %s" % answers)
    need(run.lines[0] == answers[0], "a thread ran before it was started")
    need(run.lines[-2:] == [answers[2], "exit"], "something came after the joins")
    for name in ("Thread-1", "Thread-2"):
        start, end = "Thread Start:" + name, "Thread Exit:" + name
        run.before(start, end)
        mine = [line for line in run.lines if line.startswith(name + ": ") or line in (start, end)]
        need(mine[0] == start and mine[-1] == end, "%s printed outside its start and exit" % name)
    need(len(run.lines) == 10 + 3 + 4 + 1, "%d lines" % len(run.lines))
    run.at_least(10)


@entry("master_python_threading/a3_lock")
def two_blocks(run):
    blocks(run.times({"Thread-1": 1, "Thread-2": 2}, 3), 3)
    need(len(run.lines) == 6, "more than the six lines")
    run.at_least(9)


WORDS = ["One", "Two", "Three", "Four", "Five"]


def three_workers(run):
    """Each word is processed once; each worker starts and exits."""
    names = ["Thread-%d" % i for i in (1, 2, 3)]
    found = [re.fullmatch(r"(Thread-[123]) processing (\w+)", line) for line in run.lines]
    words = [match[2] for match in found if match]
    need(sorted(words) == sorted(WORDS), "the words were %s" % words)
    for name in names:
        mine = [line for line in run.lines if name in line]
        need(mine[0] == "Starting " + name and mine[-1] == "Exiting " + name,
             "%s printed outside its start and exit" % name)
    need(run.lines[-1] == "Exiting Main Thread" and len(run.lines) == 12, "the end is missing")


@entry("master_python_threading/a4_thread_safe_queue",
       shows=lambda lines: lines[0] == "Starting Thread-1")
def polled_queue(run):
    three_workers(run)
    run.at_least(2)


@entry("master_python_threading/a4_thread_safe_queue_fixed",
       shows=lambda lines: lines[0] == "Starting Thread-1")
def closed_channel(run):
    three_workers(run)
    run.at_least(2)  # five words of a second, three at a time
    if run.sim:  # in virtual time they take turns
        first = [line for line in run.lines if " processing " in line][:3]
        need(len({line.split()[0] for line in first}) == 3, "a worker did nothing")


@entry("master_python_threading/a5_queue_family")
def queue_family(run):
    run.exactly("FIFO: 3 1 4 1 5", "LIFO: 5 1 4 1 3", "priority: 1 1 3 4 5")
    run.at_least(0.03)


@entry("python_multithreading/b1_simple_thread")
def simple_thread(run):
    run.exactly("0", "1", "2", "3", "4")
    run.at_least(5)


@entry("python_multithreading/b3_lock")
def two_named_blocks(run):
    blocks(run.times({"Thread-1": 1, "Thread-2": 2}, 3), 3)
    need(len(run.lines) == 9, "%d lines" % len(run.lines))
    need(run.lines[-1] == "Main thread exiting", "the main thread was not last")
    for name in ("Thread-1", "Thread-2"):
        start = "Starting thread:" + name
        need(run.lines.count(start) == 1, "expected one line %r" % start)
        first = next(i for i, line in enumerate(run.lines) if line.startswith(name + ": "))
        need(run.lines.index(start) < first, "%s printed before it started" % name)
        # Time stands still until both threads wait, so both have said that they started.
        need(not run.sim or start in run.lines[:2], "%s started late" % name)
    run.at_least(9)


@entry("python_multithreading/b4_thread_local")
def thread_local(run):
    run.any_order("Hello, Alice (in Thread-A)", "Hello, Bob (in Thread-B)")


# ---- python_threads ----------------------------------------------------------------------------


@entry("python_multithreading/b5_thread_pool", "threading_and_synchronization/e14_thread_pool")
def squares_in_order(run):
    run.exactly("[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]")


@entry("python_multithreading/b6_threads_or_processes")
def one_crash(run):
    run.exactly("0 squared is 0", "1 squared is 1", "2: CTH_BROKEN, killed by signal 6",
                "3 squared is 9", "4 squared is 16")


@entry("threading_and_synchronization/e16_thread_overhead")
def thread_overhead(run):
    need(len(run.lines) == 3, "three lines")
    for line, what in zip(run.lines, ("a thread, started and joined", "a task, submitted and run")):
        need(re.fullmatch(re.escape(what) + r": \d+\.\d us", line), "no time for %r" % what)
    need(run.lines[2] == "400 of 400 calls", "calls are missing")


@entry("python_threads/c1_target_function")
def target_function(run):
    run.any_order("Alice is running", "Main thread")


@entry("python_threads/c2_subclass")
def subclass(run):
    run.exactly("Bob is running")


@entry("python_threads/c4_join")
def join(run):
    run.exactly("Dave is running", "Main thread continues")
    run.at_least(2)


@entry("python_threads/c5_shared_data")
def shared_data(run):
    run.exactly("Eve_modified (thread)", "Eve_modified (main thread)")


@entry("python_threads/c6_same_process", normal=lambda text: re.sub(r"\d+", "PID", text))
def same_process(run):
    found = [re.fullmatch(r"(Thread|Main thread) PID: (\d+)", line) for line in run.lines]
    need(all(found) and sorted(match[1] for match in found) == ["Main thread", "Thread"],
         "expected one line of each thread")
    need(len({match[2] for match in found}) == 1, "two PIDs")


@entry("python_threads/c7_active_count")
def active_count(run):
    run.exactly("2", "Main thread", "Frank is running")
    run.at_least(2)


@entry("python_threads/c7_enumerate")
def enumerate_threads(run):
    need(run.lines[:2] == ["3 threads", "MainThread"], "main must be the first of three")
    need(sorted(run.lines[2:4]) == ["Frank", "Helen (daemon)"], "the other two are missing")
    need(run.lines[4:] == ["Frank is done", "Helen is done"], "the end is missing")


@entry("python_threads/c8_name")
def name(run):
    run.exactly("Main thread MainThread", "Thread-1")
    run.at_least(1)


@entry("python_threads/c9_is_alive")
def is_alive(run):
    run.in_order("True", "Main thread", "Grace is over")
    run.before("Grace is running", "Grace is over")
    need(len(run.lines) == 4 and run.lines[-1] == "Grace is over", "four lines, that one last")
    run.at_least(2)


@entry("python_threads/c11_deadlock")
def no_deadlock(run):
    pairs = [["%s acquired Lock %s" % (who, lock) for lock in "AB"]
             for who in ("Thread-1", "Thread-2")]
    need(run.lines in (pairs[0] + pairs[1], pairs[1] + pairs[0]), "the two pairs are mixed")
    run.at_least(2)


@entry("python_threads/c11_deadlock_timed",
       shows=lambda lines: lines[0].startswith("Thread-1"))
def deadlock_timed(run):
    gave_up = {"Thread-1 gave up Lock A": "Thread-1", "Thread-2 gave up Lock B": "Thread-2"}
    through = {"Thread-1 acquired both locks": "Thread-1",
               "Thread-2 acquired both locks": "Thread-2"}
    need(run.lines and run.lines[0] in gave_up, "there was no deadlock to get out of")
    done = set()
    for line in run.lines:
        need(line in gave_up or line in through, "unexpected line %r" % line)
        who = gave_up.get(line) or through.get(line)
        need(who not in done, "%s went on after its end" % who)
        if line in through:
            done.add(who)
    need(len(done) == 2, "not both threads got through")
    run.at_least(0.1)


@entry("python_threads/c11_deadlock_with_all",
       shows=lambda lines: lines[0].startswith("Thread-1"))
def both_at_once(run):
    run.any_order("Thread-1 acquired Lock A and Lock B", "Thread-2 acquired Lock B and Lock A")
    run.at_least(2)


@entry("python_threads/c12_semaphore")
def semaphore_tasks(run):
    most = run.never_inside_more_than(3, r"(Task \d) is working", r"(Task \d) finished", 10)
    need(not run.sim or most == 3, "never three at a time")
    run.at_least(4)


def pool_of_tasks(run, workers):
    """Five tasks, each once, on so many workers; the results in order. Returns the workers."""
    tasks = [re.fullmatch(r"Task (\d) on (ThreadPoolExecutor-0_\d)", line) for line in run.lines]
    tasks = [match for match in tasks if match]
    need(sorted(match[1] for match in tasks) == list("01234"), "not each task once")
    need({match[2] for match in tasks} <= {"ThreadPoolExecutor-0_%d" % i for i in range(workers)},
         "another thread ran a task")
    need([line for line in run.lines if line.startswith("Result")] ==
         ["Result %d" % (i * i) for i in range(5)], "the results are not in order")
    need(len(run.lines) == 10, "ten lines")
    return {match[2] for match in tasks}


@entry("python_threads/c14_thread_pool")
def pool_one_by_one(run):
    pool_of_tasks(run, 3)
    for i in range(5):
        need(run.lines[2 * i].startswith("Task %d " % i), "two tasks at a time")
    run.at_least(5)


@entry("python_threads/c14_thread_pool_fixed")
def pool_three_at_a_time(run):
    need(len(pool_of_tasks(run, 3)) == 3, "not all three workers had work")
    run.at_least(2)


def process_tasks(run):
    """Five tasks, each once, in at most two processes; the results in order. Returns the PIDs."""
    tasks = [re.fullmatch(r"Task (\d) \(PID: (\d+)\)", line) for line in run.lines]
    tasks = [match for match in tasks if match]
    need(sorted(match[1] for match in tasks) == list("01234"), "not each task once")
    pids = {match[2] for match in tasks}
    need(len(pids) <= 2, "more than two processes")
    need([line for line in run.lines if line.startswith("Result")] ==
         ["Result %d" % (2 * i) for i in range(5)], "the results are not in order")
    need(len(run.lines) == 10, "ten lines")
    return pids


@entry("python_threads/c15_process_pool")
def processes_one_by_one(run):
    process_tasks(run)
    for i in range(5):
        need(run.lines[2 * i].startswith("Task %d " % i), "two tasks at a time")
    run.at_least(5)


@entry("python_threads/c15_process_pool_fixed")
def processes_two_at_a_time(run):
    need(len(process_tasks(run)) == 2, "not both workers had work")
    run.at_least(3)


@entry("python_threads/c13_event")
def traffic_light(run):
    run.before("Red light!", "Green light!")
    for i in range(5):
        waits, drives = "Car-%d waiting for green..." % i, "Car-%d drives!" % i
        run.before(waits, drives)
        run.before("Green light!", drives)
        if run.sim:  # no car can be late where time stands still until all wait
            run.before(waits, "Green light!")
    need(len(run.lines) == 12, "%d lines" % len(run.lines))
    run.at_least(2)


# ---- python_threading --------------------------------------------------------------------------


@entry("python_threading/d1_thread")
def two_workers(run):
    run.in_order("A 0", "A 1", "A 2")
    run.in_order("B 0", "B 1", "B 2")
    need(len(run.lines) == 6, "%d lines" % len(run.lines))
    if run.sim:
        for i in range(3):
            need({line[2:] for line in run.lines[2 * i:2 * i + 2]} == {str(i)}, "not in step")
    run.at_least(0.3)


# Four threads with that many rounds each: every lock is a scheduling point of the simulator.
SIM_ROUNDS = 200


@entry("python_threading/d2_lock", "python_threading/d2_atomic", sim_args=[str(SIM_ROUNDS)])
def exact_count(run):
    run.exactly(str(4 * SIM_ROUNDS) if run.sim else "400000")


@entry("python_threading/d2_no_lock", sim_args=[str(SIM_ROUNDS)],
       shows=lambda lines: int(lines[0]) < 4 * SIM_ROUNDS)
def lost_updates(run):
    need(len(run.lines) == 1 and run.lines[0].isdigit(), "expected one number")
    need(0 < int(run.lines[0]) <= (4 * SIM_ROUNDS if run.sim else 400000), "impossible count")


@entry("python_threading/d4_plain_threads")
def plain_threads(run):
    run.any_order("A done", "B done", "all finished")
    need(run.lines[-1] == "all finished", "main did not wait for both")
    if run.sim:
        run.before("B done", "A done")
    run.at_least(0.2)


@entry("python_threading/d5_lock")
def hundred(run):
    run.exactly("100")


@entry("python_threading/d6_daemon")
def daemon(run):
    need(set(run.lines) <= {"main is done", "heartbeat", "saved"}, "unexpected line")
    need(run.lines.count("saved") == 1, "the program did not wait for its thread")
    need(run.lines.count("main is done") == 1, "main did not end")
    if run.sim:
        before = run.lines[:run.lines.index("saved")]
        need(before == ["main is done"] + 3 * ["heartbeat"], "three heartbeats in one second")
    run.at_least(1)


@entry("python_threading/d6_check_then_act")
def both_act(run):
    outcomes = {
        "balance: -60": ["Alice withdrew 80", "Bob withdrew 80"],
        "balance: 20": None,
    }
    need(len(run.lines) == 3 and run.lines[-1] in outcomes, "impossible balance")
    if run.sim or run.lines[-1] == "balance: -60":  # in virtual time both always see 100
        need(sorted(run.lines[:2]) == outcomes["balance: -60"], "expected both to withdraw")
        need(run.lines[-1] == "balance: -60", "the race did not show")


@entry("python_threading/d6_check_then_act_fixed",
       shows=lambda lines: lines[0].startswith("Bob"))
def one_acts(run):
    need(run.lines in (["Alice withdrew 80", "Bob refused", "balance: 20"],
                       ["Bob withdrew 80", "Alice refused", "balance: 20"]),
         "exactly one may withdraw")
    run.at_least(0.1)


@entry("python_threading/d6_lock_order")
def lock_order(run):
    run.exactly("config 2000, cache 2000, log 2000")


@entry("python_threading/d6_queue_handover")
def queue_handover(run):
    run.exactly("100 squares, sum 328350")


@entry("python_threading/d6_main_thread_rule", shows=lambda lines: "-1:" in lines[0])
def main_thread_rule(run):
    steps = {}
    for line in run.lines[:-1]:
        match = re.fullmatch(r"(Thread-[123]): step ([123]) of 3", line)
        need(match, "unexpected line %r" % line)
        steps.setdefault(match[1], []).append(match[2])
    need(sorted(steps.values()) == 3 * [["1", "2", "3"]], "the updates came as %s" % steps)
    need(run.lines[-1] == "MainThread drew 9 updates", "updates are missing")
    run.at_least(0.06)


@entry("python_threading/d6_thread_names")
def thread_names(run):
    need(run.lines[0] == "[MainThread] start" and run.lines[-1] == "[MainThread] end",
         "main must be first and last")
    numbered = [line for line in run.lines if re.fullmatch(r"\[Thread-\d+\] working", line)]
    need(len(numbered) == 1, "the thread without a name is missing")
    run.before(numbered[0], "[parser] working again")
    need(run.lines.count("[downloader] working") == 1, "the named thread is missing")
    need(len(run.lines) == 5, "%d lines" % len(run.lines))


# ---- threading_and_synchronization -------------------------------------------------------------


@entry("threading_and_synchronization/e1_basic")
def basic(run):
    run.exactly("Worker thread running")


@entry("threading_and_synchronization/e2_arguments_and_name")
def arguments(run):
    run.exactly(*("Thread-1: %d" % i for i in range(5)))


@entry("threading_and_synchronization/e3_thread_local")
def own_names(run):
    run.any_order("Thread-1", "Thread-2")


@entry("threading_and_synchronization/e4_lock")
def critical_section(run):
    run.exactly(*3 * ["Accessing critical section"])  # the program itself checks "one at a time"


@entry("threading_and_synchronization/e5_rlock")
def reentrant(run):
    run.exactly(*6 * ["Lock acquired"])  # the program itself checks "one thread at a time"


@entry("threading_and_synchronization/e6_semaphore")
def semaphore(run):
    most = run.never_inside_more_than(3, r"(Thread-\d) acquired", r"(Thread-\d) released", 5)
    need(not run.sim or most == 3, "never three at a time")
    run.at_least(2)


@entry("threading_and_synchronization/e7_event")
def event(run):
    lines = ["Waiting for event...", "Setting event", "Event has been set"]
    run.any_order(*lines)
    need(run.lines[-1] == lines[2], "it went on before the event was set")
    if run.sim:
        run.exactly(*lines)
    run.at_least(1)


@entry("threading_and_synchronization/e8_condition",
       shows=lambda lines: lines[-1].startswith("Consumer gave up"))
def condition_trap(run):
    waiting, notifying = "Consumer waiting", "Producer notifying"
    notified = "Consumer notified"
    gave_up = "Consumer gave up: no notify while it waited"
    late = [[notifying, waiting, gave_up],
            # The producer came more than 2 s late, which only a loaded machine does.
            [waiting, gave_up, notifying], [waiting, notifying, gave_up]]
    allowed = [[waiting, notifying, notified]] + (late[:1] if run.sim else late)
    need(run.lines in allowed, "not what a lost or a received notify looks like")


@entry("threading_and_synchronization/e8_condition_fixed",
       shows=lambda lines: lines[0] == "Producer notifying")
def condition_fixed(run):
    run.any_order("Consumer waiting", "Producer notifying", "Consumer notified")
    need(run.lines[-1] == "Consumer notified", "the consumer did not wait for the producer")


@entry("threading_and_synchronization/e9_barrier")
def barrier(run):
    run.exactly(*3 * ["Thread waiting at barrier"] + 3 * ["Thread proceeding"])


@entry("threading_and_synchronization/e10_race_condition")
def race_locked(run):
    run.exactly("Counter: 10")
    run.at_least(1)


@entry("threading_and_synchronization/e10_no_lock")
def race_open(run):
    need(len(run.lines) == 1 and re.fullmatch(r"Counter: ([1-9]|10)", run.lines[0]),
         "impossible count")
    need(not run.sim or run.lines[0] == "Counter: 1", "in virtual time all read before any writes")
    run.at_least(0.1)


@entry("threading_and_synchronization/e11_transfer_money",
       "threading_and_synchronization/e11_transfer_money_with_all")
def transfer(run):
    run.exactly("A: 6000", "B: 4000", "Total: 10000")


@entry("threading_and_synchronization/e12_atomic_operation")
def rolled_back(run):
    need(sorted(run.lines[:4]) == 2 * ["refused: A would be at -20"] + 2 * ["transferred 40"],
         "two of the four transfers can be paid")
    need(run.lines[4:] == ["A: 20, B: 80", "transferred 20", "A: 0, B: 100"],
         "a refused transfer left its traces")


def produced_and_consumed(run, end):
    produced = ["Produced: %d" % i for i in range(5)]
    consumed = ["Consumed: %d" % i for i in range(5)]
    run.in_order(*produced)
    run.in_order(*consumed)
    for made, used in zip(produced, consumed[1:]):
        run.before(made, used)
    need(run.lines[10:] == end and len(run.lines) == 10 + len(end), "the end is not as expected")
    run.at_least(0.4)


@entry("threading_and_synchronization/e13_producer_consumer")
def no_sentinel(run):
    produced_and_consumed(run, ["Consumer gave up: nobody said that this was all"])
    run.at_least(1.4)


@entry("threading_and_synchronization/e13_producer_consumer_fixed")
def producer_consumer(run):
    produced_and_consumed(run, [])


@entry("threading_and_synchronization/e15_singleton",
       "threading_and_synchronization/e15_singleton_double_checked")
def singleton(run):
    run.exactly("constructed 1 time(s)", "all threads see one instance: True")
    run.at_least(0.1)


@entry("threading_and_synchronization/e16_thread_exceptions")
def thread_exceptions(run):
    need(sorted(run.lines[:3]) == ["Exception in divide-0: division by zero", "divide-2: 50",
                                   "divide-5: 20"], "the hook or a thread is missing")
    need(run.lines[3:] == ["divide-5 returned CTH_OK", "divide-0 returned CTH_INVALID",
                           "divide-2 returned CTH_OK", "The program goes on"],
         "the end is not as expected")


@entry("threading_and_synchronization/e16_timeouts")
def timeouts(run):
    late = ": the deadline passed"
    run.in_order(*(what + late for what in ("lock", "semaphore", "condition", "event")))
    run.before("join" + late, "join again: success")
    need(len(run.lines) == 6 and run.lines[-1] == "join again: success", "six lines, that one last")
    run.at_least(0.4)


# ---- CPUs, bounds, dumps, shutdown -------------------------------------------------------------


@entry("python_multithreading/b7_cpu_or_io", sim_args=["100"])
def cpu_or_io(run):
    need(run.lines[0] == "workers  computing   waiting" and len(run.lines) == 4, "no table")
    for line in run.lines[1:]:
        row = re.fullmatch(r" *(\d+) +\d+\.\d\d s +(\d+\.\d\d) s", line)
        need(row, "no row: %r" % line)
        rounds = -(-16 // int(row[1]))  # each of 50 ms
        need(float(row[2]) >= 0.05 * rounds - 0.006, "%r: too early" % line)


def runnable(pid):
    """How many threads of the process run or could run: a thread that waits for a lock does not."""
    count = 0
    for name in glob.glob("/proc/%d/task/*/stat" % pid):
        with contextlib.suppress(OSError):  # it has ended
            with open(name, encoding="utf-8") as file:
                count += file.read().rpartition(")")[2].split()[0] == "R"
    return count


def side_by_side(exe):
    """Whatever the load and the number of CPUs, two threads that compute are seen runnable at the
    same time, at some moments in a row: no lock makes them take turns."""
    for _ in range(5):
        with subprocess.Popen([exe, "2000000"], stdout=subprocess.DEVNULL) as program:
            together = 0
            while program.poll() is None and together < 3:
                time.sleep(0.005)
                together = together + 1 if runnable(program.pid) >= 2 else 0
            program.kill()
        if together == 3:
            return
    raise Bad("its threads take turns")


@entry("python_threads/c10_gil", sim_args=["2000"], also=side_by_side)
def all_cpus(run):
    need(len(run.lines) == 3, "three lines")
    for threads, line in zip((1, min(max(os.cpu_count(), 2), 64)), run.lines):
        need(re.fullmatch(r"%d thread\(s\): %d primes in \d+\.\d\d s"
                          % (threads, 303 if run.sim else 78498), line), "a wrong count: %r" % line)
    need(re.fullmatch(r"speed-up: \d+\.\d", run.lines[2]), "no speed-up")


@entry("python_threads/c11_deadlock_simulator", explores=True)
def reported_deadlock(run):
    text = "\n".join(run.lines)
    for lock in "AB":
        need(re.search(r'waits for mutex "Lock %s", held by Thread-' % lock, text), "not reported")
    need(run.lines[-2:] == ["A-B and B-A: deadlock", "CTH_WITH_ALL: 1000 schedules pass"],
         "not found, or found where there is none")


@entry("python_threading/d6_bounded_executor")
def bounded_executor(run):
    found = re.fullmatch(r"50 requests, never more than (\d+) at a time", "\n".join(run.lines))
    need(found and 1 <= int(found[1]) <= 8, "not bounded")
    need(not run.sim or found[1] == "8", "never eight")


def dump_on_signal(exe):
    with subprocess.Popen([exe], stdout=subprocess.PIPE, text=True) as program:
        watchdog = threading.Timer(REAL_LIMIT, program.kill)
        watchdog.start()
        lines = []
        for line in program.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("it hangs"):  # the threads must have begun, for ThreadSanitizer
                program.send_signal(signal.SIGUSR1)
        watchdog.cancel()
    need(program.returncode == 0, "it ended with status %d" % program.returncode)
    shown = [line for line in lines if line.startswith("on a signal: MainThread")]
    need(len(shown) == 1, "%d dumps for one signal" % len(shown))
    lines.remove(shown[0])
    dump_threads(Run("\n".join([*lines, ""]), 1, False))


@entry("python_threading/d6_dump_threads", also=dump_on_signal)
def dump_threads(run):
    need(run.lines[0] == "on demand: MainThread" and run.lines[-1] == "done", "begin and end")
    hang = ["it hangs: MainThread, saver: has the lock, loader: wants the lock",
            "it hangs: MainThread, loader: wants the lock, saver: has the lock"]
    need(run.lines[1:-1] in [hang[:1], hang[1:]], "the hang was not shown")
    run.at_least(1)


@entry("threading_and_synchronization/e16_clean_shutdown")
def clean_shutdown(run):
    found = re.fullmatch(r"accepted (\d+), finished (\d+)", "\n".join(run.lines))
    need(found and found[1] == found[2] and int(found[1]) > 0, "accepted work was lost")
    run.at_least(0.3)


@entry("threading_and_synchronization/e16_monitor",
       normal=lambda text: re.sub(r"[\d.]+ (switches|ms)", r"N \1", text))
def monitor(run):
    need(len(run.lines) == 6, "six lines")
    states = [re.fullmatch(r"(\d+) threads, (\d+) in the queue, (\d+) switches", run.lines[i])
              for i in (0, 1, 2, 5)]
    need(all(states), "no state")
    threads, queued, switches = zip(*(map(int, state.groups()) for state in states))
    need(all(1 <= n <= 3 for n in threads) and threads[3] == 1, "threads: %s" % (threads,))
    need(sorted(queued, reverse=True) == [*queued] and queued[3] == 0, "queued: %s" % (queued,))
    ends = [re.fullmatch(r"worker-\d: (\d+) items, (\d+\.\d\d) ms on a CPU", line)
            for line in run.lines[3:5]]
    need(all(ends) and sum(int(end[1]) for end in ends) == 40, "items lost")
    if run.sim:
        need(threads[:3] == (3, 3, 3), "threads: %s" % (threads,))
        need(all(0 <= have - least <= 2 for have, least in zip(queued, (28, 18, 8))),
             "queued: %s" % (queued,))
    else:
        # Each sleep of the main thread is a switch.
        need(0 < switches[0] < switches[1] < switches[2], "switches: %s" % (switches,))
        cpu = sum(float(end[2]) for end in ends)
        need(0 < cpu < 1e3 * run.cpu + 0.1, "%.2f ms of %.2f on a CPU" % (cpu, 1e3 * run.cpu))
    run.at_least(0.4)


# ---- beyond ------------------------------------------------------------------------------------


@entry("beyond/simulator_bank", explores=True)
def simulated_bank(run):
    parts = "\n".join(run.lines).split("\n\n")
    need(len(parts) == 4, "three forms that fail, and those that pass")
    for part, name, kind, more in (
            (parts[0], "no lock", "check", ["bank.a.balance == 100"]),
            (parts[1], "no lock, accesses marked", "data race", ['"balance ', "simulator_bank.c:"]),
            (parts[2], "locks crossed", "deadlock",
             ['waits for mutex "lock A", held by Thread-', 'waits for mutex "lock B", held by'])):
        need(re.match(r"%s: schedule \d+ fails\n" % name, part), "%s: it did not fail" % name)
        need("simulator: %s: %s: " % (name, kind) in part, "%s is no %s" % (name, kind))
        for text in more:
            need(text in part, "%s: the report does not say %r" % (name, text))
        need(re.search(r"\bCTHREADS_SIM_SEED=\d+\b", part), "%s: no seed" % name)
        need(re.search(r"\bCTHREADS_SIM_SCHEDULE=\d+:\d+(,\d+:\d+)*\n", part),
             "%s: no schedule" % name)
        need(part.endswith("\nagain by seed: %s\nagain by schedule: %s" % (kind, kind)),
             "%s: a replay fails in another way" % name)
    passed = [re.sub(r"exhaustive: \d+", "exhaustive: all", line) for line in parts[3].splitlines()]
    need(passed == ["%s, %s" % (form, how) for form in ("locks in one order", "CTH_WITH_ALL")
                    for how in ("random: 1000 schedules pass", "priorities: 1000 schedules pass",
                                "exhaustive: all schedules pass, complete")],
         "the right forms did not pass")


TEXTS = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", name)
         for name in ("README.md", "CHANGELOG.md", "LICENSE", "docs/porting.md")]


def missing_file(exe):
    """A file that is not there ends it."""
    done = subprocess.run([exe, TEXTS[0], "missing", TEXTS[1]], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=REAL_LIMIT, check=False)
    need(done.returncode == 1 and done.stdout == "" and
         done.stderr == "failed: cannot read missing\n", "a missing file: %s" % done)


@entry("beyond/word_count", args=TEXTS, also=missing_file)
def word_count(run):
    """The count is that of another implementation."""
    words = collections.Counter()
    for name in TEXTS:
        with open(name, encoding="latin-1") as file:
            words.update(word.lower() for word in re.findall(r"[A-Za-z]+", file.read()))
    most = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:10]
    run.exactly("%d words, %d different" % (sum(words.values()), len(words)),
                *("%6d %s" % (count, word) for word, count in most))


@entry("beyond/crawler")
def crawler(run):
    run.exactly(*["/%d: 2 links" % i for i in range(40)] + ["40 pages, 80 links"])
    run.at_least(0.19)  # 40 requests, 5 ms apart


LOG_COUNTS = r"(\d+) info, (\d+) warnings, (\d+) errors"
LOG_PROBLEM = r"(warning|error): request (\d+) took \d+ ms"


def check_log(lines, reason):
    """The problems are all there, and counted. Returns how many lines went through, and how many
    summaries there were on the way."""
    end = re.fullmatch(r"(\d+) lines: " + LOG_COUNTS + r" \((.*)\)", lines[-1])
    need(end and end[5] == reason, "the last line must be a summary with the reason %r" % reason)
    seen = {"warning": 0, "error": 0}
    latest = info = summaries = 0
    for line in lines[:-1]:
        problem = re.fullmatch(LOG_PROBLEM, line)
        summary = re.fullmatch("so far: " + LOG_COUNTS, line)
        need(problem or summary, "something else was printed: %r" % line)
        if problem:
            seen[problem[1]] += 1
            need(int(problem[2]) > latest, "%r changed its place or came twice" % line)
            latest = int(problem[2])
        else:
            summaries += 1
            need(int(summary[1]) >= info, "%r has fewer than the one before" % line)
            info = int(summary[1])
            need([int(summary[2]), int(summary[3])] == list(seen.values()), "%r miscounts" % line)
    need([int(end[3]), int(end[4])] == list(seen.values()), "%r miscounts" % lines[-1])
    need(int(end[1]) == sum(int(end[i]) for i in (2, 3, 4)), "lines are missing")
    return int(end[1]), summaries


def interrupted_log(exe):
    """Ctrl-C in the middle: the program ends, with what was under way."""
    with subprocess.Popen([exe, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as program:
        watchdog = threading.Timer(REAL_LIMIT, program.kill)
        watchdog.start()
        text = program.stdout.readline()
        program.send_signal(signal.SIGINT)
        text += program.stdout.read()
        watchdog.cancel()
    need(program.returncode == 0, "it ended with status %d" % program.returncode)
    check_log(text.splitlines(), "signal 2")


@entry("beyond/log_pipeline", args=["600"], also=interrupted_log)
def log_pipeline(run):
    total, summaries = check_log(run.lines, "end of the log")
    need(total == 600, "%d lines of 600 went through" % total)
    need(summaries >= 1, "more than a second, and no summary")
    need(summaries == 1 or not run.sim, "%d summaries in 1.2 s" % summaries)
    run.at_least(1.2)


@functools.lru_cache(maxsize=None)
def mandelbrot_letter(row, column):
    """What stands at this place of the picture of 72 x 24 letters."""
    c = complex(-2.1 + 3.0 * (column + 0.5) / 72, -1.2 + 2.4 * (row + 0.5) / 24)
    z, n = 0j, 0
    while n < 1000 and z.real * z.real + z.imag * z.imag <= 4:
        z = complex(z.real * z.real - z.imag * z.imag + c.real, 2 * z.real * z.imag + c.imag)
        n += 1
    return "#" if n == 1000 else " .,:;+*%@"[min(n // 2, 8)]


def need_rows_and_threads(line, rows):
    match = re.fullmatch(r"(\d+) rows by (\d+) of (\d+) threads", line)
    need(match and int(match[1]) == rows, "no line with %d rows" % rows)
    need(1 <= int(match[2]) <= int(match[3]), "more threads than there are")


def mandelbrot_file(exe):
    """The large picture: its size, and its lower half mirrors the upper one."""
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "set.ppm")
        done = subprocess.run([exe, name], stdout=subprocess.PIPE, text=True, timeout=REAL_LIMIT,
                              check=True)
        with open(name, "rb") as file:
            data = file.read()
    need_rows_and_threads(done.stdout.strip(), 1000)
    head, row = b"P6\n1500 1000\n255\n", 3 * 1500
    need(data.startswith(head) and len(data) == len(head) + 1000 * row, "no picture of that size")
    rows = [data[at:at + row] for at in range(len(head), len(data), row)]
    differ = sum(a != b for a, b in zip(b"".join(rows[:500]), b"".join(reversed(rows[500:]))))
    need(differ <= len(data) // 100, "the halves differ at %d places" % differ)
    need(len(set(data)) > 100, "hardly a picture")


@entry("beyond/mandelbrot", also=mandelbrot_file)
def mandelbrot(run):
    need(len(run.lines) == 25 and all(len(line) == 72 for line in run.lines[:24]), "its size")
    wrong = sum(run.lines[row][column] != mandelbrot_letter(row, column)
                for row in range(24) for column in range(72))
    need(wrong <= 8, "%d letters are wrong" % wrong)  # where rounding decides
    need_rows_and_threads(run.lines[24], 24)


@entry("beyond/parallel_sort", args=["300000"], sim_args=["9000"])
def parallel_sort(run):
    need(len(run.lines) == 5, "five lines")
    for line, what in zip(run.lines, ("qsort", "cth_sort", "sort_ints", "cth_stable_sort")):
        need(re.fullmatch(what + r": \d+\.\d ms", line), "no time of %s" % what)
    need(re.fullmatch(r"(300000|9000) numbers, [1-9]\d* threads: all the same", run.lines[4]),
         "the results")


class Client:
    """A client of a server: `nc` where it is installed."""

    def __init__(self, port):
        nc = shutil.which("nc")
        self.port = str(port)
        self.process = subprocess.Popen(
            [nc, "127.0.0.1", self.port] if nc else
            [sys.executable, "-c", PLAIN_CLIENT, self.port],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def hear(self, line):
        heard = self.process.stdout.readline()
        need(heard == line + "\n", "a client heard %r, not %r" % (heard, line + "\n"))

    def leave(self):
        self.process.kill()
        self.process.communicate()


PLAIN_CLIENT = """
import socket, sys, threading
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def listen():
    for line in s.makefile():
        print(line, end="", flush=True)
threading.Thread(target=listen, daemon=True).start()
for line in sys.stdin:
    s.sendall(line.encode())
"""


def started_server(exe, *args):
    """A server that listens at a free port, and the port."""
    for _ in range(5):  # in between, another program may take the port
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        program = subprocess.Popen([exe, str(port), *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        if program.stdout.readline() == "listening\n":
            return program, port
        program.kill()
        errors = program.communicate()[1]
    raise Bad("the server does not listen: %s" % errors)


@server("beyond/chat_server")
def chat(exe):
    """Several clients at once, an empty line, a long one, one that leaves in the middle of a line,
    one that does not listen, and Ctrl-C."""
    program, port = started_server(exe)
    clients = []

    def give_up():  # nc goes on when its server has gone
        for process in [program] + [client.process for client in clients]:
            process.kill()

    watchdog = threading.Timer(REAL_LIMIT, give_up)
    watchdog.start()

    def printed(line):
        got = program.stdout.readline()
        need(got == line + "\n", "the server printed %r, not %r" % (got, line + "\n"))

    try:
        for i in (1, 2, 3):
            clients.append(Client(port))
            printed("client %d came" % i)
        alice, bob, carol = clients
        alice.say("hello\n")
        bob.hear("hello")
        carol.hear("hello")
        bob.say("\n")  # an empty line is a line; it is the first that alice hears
        alice.hear("")
        carol.hear("")
        long = "x" * 1000
        carol.say(long + "\n")
        alice.hear(long)
        bob.hear(long)
        with socket.create_connection(("127.0.0.1", port)) as half:
            printed("client 4 came")
            half.sendall(b"in the mid")
        printed("client 4 left")
        alice.say("and on\n")
        bob.hear("and on")
        carol.hear("and on")
        with socket.create_connection(("127.0.0.1", port)):  # does not read
            printed("client 5 came")
            for _ in range(5000):
                alice.say(20 * (200 * "y" + "\n"))
                for client in (bob, carol) * 20:
                    client.hear(200 * "y")
                if select.select([program.stdout], [], [], 0)[0]:
                    break
            printed("client 5 left")  # put out: the others were not held up
        bob.leave()
        printed("client 2 left")
        alice.say("still there\n")
        carol.hear("still there")
        program.send_signal(signal.SIGINT)
        rest = sorted(program.stdout.read().splitlines())
        need(rest == ["client 1 left", "client 3 left"], "at the end it printed %s" % rest)
        need(program.wait() == 0, "it ended with status %d" % program.returncode)
    finally:
        watchdog.cancel()
        for client in clients:
            client.leave()
        program.kill()
        errors = program.communicate()[1]
    need(errors == "", "it wrote to stderr: %s" % errors)


class Served:
    """`with` a server that runs, and clients of it; whoever hangs is killed, and at the end all."""

    def __init__(self, exe, *args):
        self.program, self.port = started_server(exe, *args)
        self.processes = [self.program]
        self.watchdog = threading.Timer(REAL_LIMIT, self.kill)

    def kill(self):
        for process in self.processes:
            process.kill()

    def __enter__(self):
        self.watchdog.start()
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        self.kill()
        for process in self.processes:
            if not process.stdout.closed:
                process.communicate()

    def client(self):
        client = Client(self.port)
        self.processes.append(client.process)
        return client

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=REAL_LIMIT)

    def printed(self, *lines):
        for line in lines:
            got = self.program.stdout.readline()
            need(got == line + "\n", "the server printed %r, not %r" % (got, line + "\n"))

    def ended(self):
        """What it has written to stdout and stderr since, at its end, which must be a good one."""
        rest = self.program.stdout.read()
        errors = self.program.stderr.read()
        need(self.program.wait() == 0, "it ended with status %d: %s"
             % (self.program.returncode, errors))
        return rest, errors


def heard(client, text):
    """The socket `client` receives exactly this; with "" its end."""
    got = b""
    while len(got) < max(len(text), 1):
        more = client.recv(max(len(text), 1) - len(got))
        if not more:
            break
        got += more
    need(got == text.encode(), "a client heard %r, not %r" % (got, text))


@server("python_threads/c3_tcp_server")
def tcp_server(exe):
    """Three clients at once, served in any order; each that leaves is an exception."""
    with Served(exe, "3") as at:
        with at.connect() as first, at.connect() as second, at.connect() as third:
            for client, text in ((third, "three\n"), (first, "one\n"), (second, "\n"),
                                 (third, "again\n")):
                client.sendall(text.encode())
                at.printed(text[:-1])
                heard(client, "Server response")
        rest, errors = at.ended()
    need(rest == "", "it printed %r" % rest)
    need(errors.count("Exception in thread") == 3 and errors.count("has left") == 3,
         "not an exception for each client: %s" % errors)


@server("python_threads/c3_tcp_client")
def tcp_client(exe):
    """It says lines, an empty one too, and prints the answers; it sees that the server has gone."""
    said = []

    def serve(listener, lines):
        with listener.accept()[0] as client, client.makefile("rw", newline="\n") as stream:
            for _ in range(lines):
                said.append(stream.readline())
                stream.write("Server response")
                stream.flush()
            stream.readline()

    def run(lines, text):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(REAL_LIMIT)
            thread = threading.Thread(target=serve, args=(listener, lines), daemon=True)
            thread.start()
            done = subprocess.run([exe, str(listener.getsockname()[1])], input=text, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=REAL_LIMIT, check=False)
            thread.join(REAL_LIMIT)
        return done

    done = run(3, "one\n\nthree\n")
    need(done.returncode == 0 and done.stdout == 3 * ">>> Server response\n" + ">>> \n",
         "status %d, %r" % (done.returncode, done.stdout))
    need(said == ["one\n", "\n", "three\n"], "it said %r" % said)
    done = run(1, "one\ntwo\nthree\n")
    need(done.returncode == 1 and done.stdout == ">>> Server response\n>>> ",
         "without a server: status %d, %r" % (done.returncode, done.stdout))
    need("the server has gone" in done.stderr, done.stderr)


@server("python_threads/c3_tcp_server_fixed")
def tcp_server_fixed(exe):
    """Several clients, lines that are empty, in pieces or together, one that leaves in the middle
    of a line; four are served, four wait, a ninth is refused; Ctrl-C, and the port is free."""
    with Served(exe) as at:
        alice, bob = at.client(), at.client()
        for client, text in ((bob, "hello"), (alice, ""), (bob, "again")):
            client.say(text + "\n")
            at.printed(text)
            client.hear("Server response")
        with at.connect() as half:
            half.sendall(b"one\ntwo\nin the mid")
            at.printed("one", "two")
            heard(half, 2 * "Server response\n")
            half.shutdown(socket.SHUT_WR)
            at.printed("client left")  # and not "in the mid"
            heard(half, "")
        alice.say("still here\n")
        at.printed("still here")
        alice.hear("Server response")
        served = [at.connect(), at.connect()]
        for client in served:
            client.sendall(b"me\n")
            at.printed("me")
            heard(client, "Server response\n")
        waiting = [at.connect() for _ in range(4)]
        waiting[0].sendall(b"I wait\n")
        with at.connect() as ninth:
            heard(ninth, "Server busy\n")
            heard(ninth, "")
        need(not select.select(waiting, [], [], 0)[0], "more than four are served")
        bob.leave()
        at.printed("client left", "I wait")
        heard(waiting[0], "Server response\n")
        waiting[1].sendall(b"I wait too\n")
        at.program.send_signal(signal.SIGINT)
        rest, errors = at.ended()
        # All that have come are served to their end, also those that no thread had time for.
        heard(waiting[1], "Server response\n")
        for client in served + waiting:
            heard(client, "")
            client.close()
        need(sorted(rest.splitlines()) == sorted(7 * ["client left"] + ["I wait too",
                                                                        "stopped: signal 2"]),
             "at the end it printed %r" % rest)
        need(rest.endswith("stopped: signal 2\n") and errors == "", rest + errors)
        again = subprocess.Popen([exe, str(at.port)], stdout=subprocess.PIPE, text=True)
        at.processes.append(again)
        need(again.stdout.readline() == "listening\n", "the port is not free")
        again.send_signal(signal.SIGINT)
        need(again.communicate()[0] == "stopped: signal 2\n" and again.returncode == 0,
             "with no client it ended with %d" % again.returncode)


class Pages(http.server.BaseHTTPRequestHandler):
    """/N has N bytes, whatever they are; /missing is not there."""

    def do_GET(self):  # pylint: disable=invalid-name
        number = self.path[1:]
        self.send_response(200 if number.isdigit() else 404)
        self.end_headers()
        self.wfile.write(int(number if number.isdigit() else 7) * b"\n")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def map_of_a_server(exe):
    """URLs of a server of our own: bodies of any size, an error, no server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        base = "http://127.0.0.1:%d/" % pages.server_address[1]
        sizes = [100000, 0, 1, 4096, 77, 12345, 3, 2, 1000000]

        def run(urls):
            return subprocess.run([exe, *urls], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, timeout=REAL_LIMIT, check=False)

        done = run([base + str(size) for size in sizes])
        need(done.returncode == 0 and done.stdout == "%s\n" % sizes,
             "%r, not %s: %s" % (done.stdout, sizes, done.stderr))
        bad = run([base + "5", base + "missing", base + "6"])
        need(bad.returncode != 0 and bad.stdout == "" and
             "cannot fetch %smissing" % base in bad.stderr, "a missing page: %s" % bad)
        pages.shutdown()
    gone = run([base + "5"])
    need(gone.returncode != 0 and "cannot fetch %s5" % base in gone.stderr, "no server: %s" % gone)


@entry("python_threading/d3_map_urls", also=map_of_a_server)
def map_urls(run):
    run.exactly("[400, 300, 200, 100]")


# ---- running -----------------------------------------------------------------------------------


def run_once(known, exe, seed):
    """Run the program and check it. Returns its output. `seed` is None in real time."""
    sim = seed is not None
    env = dict(os.environ)
    for variable in ("SEED", "SCHEDULE", "FAULTS", "MEMORY"):
        env.pop("CTHREADS_SIM_" + variable, None)
    if sim:
        env["CTHREADS_SIM_SEED"] = str(seed)
    limit = SIM_LIMIT if sim else REAL_LIMIT
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    try:
        done = subprocess.run([exe, *(known.sim_args if sim else known.args)], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=limit, check=False)
    except subprocess.TimeoutExpired as hung:
        raise Bad("it hangs: no end after %d s; output so far:\n%s"
                  % (limit, (hung.stdout or b"").decode(errors="replace"))) from hung
    elapsed = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    text = done.stdout.decode(errors="replace")
    errors = done.stderr.decode(errors="replace")
    try:
        need(done.returncode == 0, "it ended with status %d" % done.returncode)
        need("Exception in thread" not in errors, "a thread failed")
        known.check(Run(text, elapsed, sim, cpu))
    except (Bad, IndexError) as bad:
        where = "seed %d: " % seed if sim else ""
        raise Bad("%s%s\n--- stdout\n%s--- stderr\n%s---" % (where, bad, text, errors)) from bad
    return known.normal(text) if known.normal else text


def check_program(name, exe, seeds):
    name = re.sub(r"\.c$", "", name)
    need(name in ENTRIES, "%s has no entry in check.py" % name)
    known = ENTRIES[name]
    if known.also and not seeds:
        known.also(exe)
    if known.check is None:
        need(not seeds, "a server is not for the simulator")
        print("ok: %s" % name)
        return
    if known.explores:
        need(run_once(known, exe, None) == run_once(known, exe, None), "two runs differ")
        print("ok: %s, twice" % name)
        return
    if not seeds:
        run_once(known, exe, None)
        print("ok: %s" % name)
        return
    outputs = []
    for seed in range(1, seeds + 1):
        first = run_once(known, exe, seed)
        if seed <= TWICE:
            second = run_once(known, exe, seed)
            need(first == second,
                 "seed %d gave two outputs:\n%s---\n%s---" % (seed, first, second))
        outputs.append(first)
    if known.shows and seeds >= SEEDS:
        shown = {bool(known.shows(text.splitlines())) for text in outputs}
        need(shown == {True, False}, "all %d seeds went the same way: %r" % (seeds, outputs[0]))
    print("ok: %s, %d seeds, %d different outputs" % (name, seeds, len(set(outputs))))


def check_index(examples):
    files = set()
    for folder, _, names in os.walk(examples):
        article = os.path.relpath(folder, examples)
        files |= {article + "/" + name[:-2] for name in names if name.endswith(".c")}
    need(files, "no programs in %s" % examples)
    with open(os.path.join(examples, "README.md"), encoding="utf-8") as readme:
        listed = set(re.findall(r"\]\((\w+/\w+)\.c\)", readme.read()))
    for what, there in (("an entry in check.py", set(ENTRIES)), ("a line in README.md", listed)):
        need(files <= there, "without %s: %s" % (what, sorted(files - there)))
        need(there <= files, "%s, but no program: %s" % (what, sorted(there - files)))
    print("ok: %d programs, each with an entry and a line in the index" % len(files))


def main():
    parser = argparse.ArgumentParser(description="check a demo program")
    parser.add_argument("name", nargs="?", help="ARTICLE/FILE, with or without .c")
    parser.add_argument("exe", nargs="?")
    parser.add_argument("--sim", type=int, metavar="N", help="run the seeds 1..N (200)")
    parser.add_argument("--index", metavar="EXAMPLES", help="check the folder's index instead")
    words = sys.argv[1:]
    for i, word in enumerate(words):
        number = words[i + 1] if i + 1 < len(words) else ""
        if word == "--sim" and not re.fullmatch(r"-?\d+", number):
            words.insert(i + 1, str(SEEDS))
            break
    options = parser.parse_args(words)
    if options.index is None and (options.name is None or options.exe is None):
        parser.error("needs a program's name and its executable")
    if options.sim is not None and options.sim < 1:
        parser.error("--sim needs a number of seeds from 1")
    try:
        if options.index is not None:
            check_index(options.index)
        else:
            check_program(options.name, options.exe, options.sim)
    except (Bad, OSError) as bad:
        print("FAILED: %s: %s" % (options.index or options.name, bad), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
