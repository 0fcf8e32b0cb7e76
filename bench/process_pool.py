"""The Python peer of bench_process: process_pool.py KIND SECONDS WORKERS prints the nanoseconds of
one task, timed in here, after the pool has started."""
import statistics
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor

SMALL, MANY, AHEAD, BYTES = 32, 1000, 8, 1 << 20


def answer(question):
    return question * 3 + 1


def same(data):
    return data


def copy(data):
    return bytes(memoryview(data))


def trips(pool):
    for i in range(SMALL):
        assert pool.submit(answer, i).result() == answer(i)
    return SMALL


def many(pool):
    futures = [pool.submit(answer, i) for i in range(MANY)]
    assert sum(f.result() for f in futures) == sum(map(answer, range(MANY)))
    return MANY


def mapped(pool):
    results = pool.map(answer, range(MANY), chunksize=MANY // 16)
    assert sum(results) == sum(map(answer, range(MANY)))
    return MANY


def bare(pool):
    assert pool.submit(same, DATA).result()[-1] == 1
    return 1


def large(pool):
    assert pool.submit(copy, DATA).result()[-1] == 1
    return 1


def eight(pool):
    futures = deque()
    for _ in range(4 * AHEAD):
        if len(futures) == AHEAD:
            assert futures.popleft().result()[-1] == 1
        futures.append(pool.submit(copy, DATA))
    while futures:
        assert futures.popleft().result()[-1] == 1
    return 4 * AHEAD


DATA = b"\1" * BYTES


def main():
    kind, seconds, workers = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    batch = {"trips": trips, "many": many, "map": mapped, "bare": bare, "large": large,
             "eight": eight}[kind]
    with ProcessPoolExecutor(workers) as pool:
        many(pool)  # both workers start
        batch(pool)
        times = []
        end = time.perf_counter_ns() + int(seconds * 1e9)
        while not times or time.perf_counter_ns() < end:
            start = time.perf_counter_ns()
            tasks = batch(pool)
            times.append((time.perf_counter_ns() - start) / tasks)
    print(statistics.median(times))


if __name__ == "__main__":
    main()
