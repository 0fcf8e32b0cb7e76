#!/usr/bin/env python3
"""Draw the curves of benchmark runs: plot.py --to DIRECTORY bench_*.json

Reads what the programs wrote with --json, takes the rows that belong to a plot, and has gnuplot
draw speedup.svg and task_size.svg. Values of a --quick run, or of one with a filter, are drawn
beside the JSON files instead, so that they do not pass for those of a run in full.
"""
import argparse
import json
import pathlib
import subprocess
import sys

COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8c564b", "#7f7f7f", "#f0c000",
          "#5e3c99"]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Styles:
    """One colour for a peer, in all panels; ours thick and red."""

    def __init__(self):
        self.peers = {}
        self.kits = 0

    def of(self, peer, kind):
        if peer not in self.peers:
            if kind == "kit":
                self.kits += 1
                style = f"lw 3.5 lc rgb '#d00000' pt 7 ps 0.6 dt {self.kits}"
            else:
                color = COLORS[(len(self.peers) - self.kits) % len(COLORS)]
                style = f"lw 1.5 lc rgb '{color}' pt 7 ps 0.4"
            self.peers[peer] = style
        return self.peers[peer]


def curves_of(rows, value):
    """{peer: (kind, [(x, value(row, result)), ...])}, ours first."""
    curves = {}
    for row in sorted(rows, key=lambda row: row["x"]):
        for result in row["results"]:
            y = value(row, result)
            if y is not None:
                curves.setdefault(result["peer"], (result["kind"], []))[1].append((row["x"], y))
    return dict(sorted(curves.items(), key=lambda item: (item[1][0] != "kit", item[0])))


def panel(title, curves, styles, extra=()):
    """The gnuplot commands of one panel; its curves have no titles, see legend()."""
    lines, plots = [f"set title {quoted(title)}"], list(extra)
    for peer, (kind, points) in curves.items():
        name = f"$data{panel.count}"
        panel.count += 1
        lines += [f"{name} << END"] + [f"{x:g} {y:g}" for x, y in points] + ["END"]
        plots.append(f"{name} with linespoints {styles.of(peer, kind)} notitle")
    return lines + ["plot " + ", \\\n     ".join(plots)]


panel.count = 0


def legend(styles, extra):
    """One more panel, of the height of a line of text, with nothing in it but the titles."""
    plots = [f"NaN {style} title {quoted(title)}" for title, style in extra.items()]
    plots += [f"NaN with linespoints {style} title {quoted(peer)}"
              for peer, style in styles.peers.items()]
    return ["unset title", "unset xlabel", "unset ylabel", "unset tics", "unset border",
            "unset grid", "unset logscale", "set xrange [0:1]", "set yrange [0:1]",
            "set origin 0,0.015", "set size 1,0.11",
            "set lmargin 1", "set rmargin 1", "set tmargin 0", "set bmargin 0",
            "set key center center horizontal maxcols 4 samplen 4 font ',10'",
            "plot " + ", \\\n     ".join(plots)]


def place(x, y, width, height):
    return [f"set origin {x:g},{y:g}", f"set size {width:g},{height:g}"]


def speedup(row, result):
    """How many times as fast as the best of those that use one thread."""
    serial = [r["median"] for r in row["results"] if r["kind"] == "floor"]
    if result["kind"] == "floor" or not serial or result["median"] <= 0:
        return None
    return min(serial) / result["median"]


IDEAL = "with lines lw 1.5 lc rgb '#999999' dt 2"


def draw_speedup(plots, run):
    styles = Styles()
    workers = sorted({row["x"] for rows in plots.values() for row in rows})
    commands = ["set multiplot", "set grid lc rgb '#dddddd'", "set key off", "set logscale xy 2",
                "set xlabel 'workers'", "set ylabel 'times as fast as one thread'",
                "set format y '%.2g'",
                "set xtics (" + ", ".join(f"{w:g}" for w in workers) + ")",
                f"set xrange [{workers[0] / 1.2:g}:{workers[-1] * 1.2:g}]"]
    ideal = f"(x < {run['cpus']} ? x : {run['cpus']}) {IDEAL} notitle"
    for i, (name, rows) in enumerate(plots.items()):
        commands += place(i % 2 * 0.5, 0.57 - i // 2 * 0.43, 0.5, 0.42)
        commands += panel(name, curves_of(rows, speedup), styles, [ideal])
    return (900, 860), commands + legend(styles, {"ideal": IDEAL}) + ["unset multiplot"]


def draw_task_size(plots, run):
    styles, workers = Styles(), 2
    (rows,) = plots.values()
    times = ("('10 ns' 1e1, '100 ns' 1e2, '1 us' 1e3, '10 us' 1e4, '100 us' 1e5, '1 ms' 1e6, "
             "'10 ms' 1e7)")
    commands = ["set multiplot", "set grid lc rgb '#dddddd'", "set key off",
                f"set xtics {times}", "set xrange [7:1.5e6]", "set xlabel 'work in a task'",
                "set logscale xy", f"set ytics {times}", "set ylabel 'time a task'"]
    commands += place(0, 0.16, 0.5, 0.82)
    commands += panel(f"Tasks given to {workers} workers",
                      curves_of(rows, lambda row, result: result["median"]), styles,
                      [f"x / {workers} {IDEAL} notitle"])
    commands += ["unset logscale y", "set ytics auto", "set yrange [0:*]",
                 "set ylabel 'times as fast as without threads'"]
    commands += place(0.5, 0.16, 0.5, 0.82)
    commands += panel("The same, against a loop in one thread",
                      curves_of(rows, lambda row, result: row["x"] / result["median"]), styles,
                      [f"{workers} {IDEAL} notitle"])
    return (1000, 560), commands + legend(styles, {"ideal": IDEAL}) + ["unset multiplot"]


DRAW = {"parallel": ("speedup.svg", draw_speedup), "executor": ("task_size.svg", draw_task_size)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=pathlib.Path, required=True, metavar="DIRECTORY")
    parser.add_argument("files", type=pathlib.Path, nargs="+", metavar="FILE")
    args = parser.parse_args()
    for file in args.files:
        if not file.exists():  # no case of this program matched the filter
            continue
        run = json.loads(file.read_text(encoding="utf-8"))
        plots = {}
        for row in run["rows"]:
            if "plot" in row:
                plots.setdefault(row["plot"], []).append(row)
        if run["program"] not in DRAW or not plots:
            continue
        name, draw = DRAW[run["program"]]
        (width, height), commands = draw(plots, run)
        to = (file.parent if run["quick"] or run["filtered"] else args.to) / name
        where = f"{run['cpu']}, {run['cpus']} CPUs, {run['compiler']}, {run['libc']}"
        script = [f"set terminal svg size {width},{height} dynamic noenhanced "
                  "background rgb 'white' font 'sans-serif,12'",
                  f"set output {quoted(str(to))}",
                  f"set label 1 {quoted(where)} at screen 0.995,0.008 right font ',8' "
                  "textcolor rgb '#888888'"]
        try:
            subprocess.run(["gnuplot"], input="\n".join(script + commands) + "\n", text=True,
                           check=True)
        except FileNotFoundError:
            print("plot.py: SKIPPED, no gnuplot (Debian: gnuplot-nox)")
            return 0
        print(f"plot.py: {to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
