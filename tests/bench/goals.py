"""What is to be reached, as ratios of neighbouring turns of one run, and what was."""

import dataclasses
import statistics

import cells
import jfs_cells


@dataclasses.dataclass(frozen=True)
class Goal:
    text: str
    group: str
    cell: str
    ours: str = "sluice"
    theirs: tuple = ()  # the slowest of these in a round is what counts; (): the value itself
    at_least: float = 0
    at_most: float = 0
    field: str = "rate"

    def values(self, samples):
        """One for each round; none when somebody was not there to be measured."""
        if any(name not in samples for name in (self.ours, *self.theirs)):
            return []
        own = [getattr(s, self.field) for s in samples[self.ours]]
        if not self.theirs:
            return own
        others = zip(*([getattr(s, self.field) for s in samples[name]] for name in self.theirs), strict=True)
        return [a / min(b) for a, b in zip(own, others, strict=True) if min(b)]

    def is_met(self, value):
        return value >= self.at_least if self.at_least else value <= self.at_most


GET, PUT = "1 KiB, {} connections", "1 KiB, {} connections"
RANGE = "8 MiB of 1 GiB, 64 connections"
READS, SMALL, LARGE = "JuiceFS volume: reads", "Mount: 1-KiB files", "Mount: one large file"
OUR_MOUNT = "sluice mount no-sync"
GOALS = (
    *(
        Goal(f"signed GET of 1 KiB over {c} connections ≥ 0.9 × nginx's static files", "GET", GET.format(c), theirs=("nginx",), at_least=0.9)
        for c in (1, 16, 64)
    ),
    *(Goal(f"… over {c} ≥ 4 × versitygw", "GET", GET.format(c), theirs=("versitygw",), at_least=4) for c in (16, 64)),
    Goal("GET of 8-MiB ranges over 64 connections ≥ 0.9 × nginx", "Ranged GET", RANGE, theirs=("nginx",), at_least=0.9),
    Goal("… ≥ 0.9 × plain reads", "Ranged GET", RANGE, theirs=("read",), at_least=0.9),
    *(
        Goal(f"PUT of 1 KiB, `--sync none`, over {c} ≥ 4 × versitygw", "PUT, --sync=none", PUT.format(c), theirs=("versitygw",), at_least=4)
        for c in (1, 64)
    ),
    Goal("durable PUT of 1 KiB over 64 ≥ 8 × one sync each", "PUT, durable", PUT.format(64), "sluice durable", ("one sync per PUT",), at_least=8),
    Goal(
        "PUT of 1 GiB ≥ 0.9 × the slower of one core's MD5 and writing the file",
        "Large objects",
        "PUT 1 GiB",
        theirs=("one core's MD5", "write"),
        at_least=0.9,
    ),
    Goal("CompleteMultipartUploads a second, each of 1 GiB in equal parts, ≥ 10", "Large objects", "CompleteMultipartUpload of 1 GiB", at_least=10),
    Goal("list 10⁶ keys ≥ 300,000 keys/s", "Listing", "10⁶ keys, flat", at_least=300_000),
    Goal("resident MiB with 1,000 connections ≤ 128", "Memory", "after 1,000 connections of 128-KiB GETs", at_most=128, field="memory_mib"),
    *(
        Goal(f"JuiceFS volume, warm: {what} over 16 ≥ 0.5 × a directory volume's", READS, cell, jfs_cells.RELAXED, ("sluice",), at_least=0.5)
        for what, cell in (
            ("GET of 1 KiB", "GET 1 KiB, warm, 16 connections"),
            ("GET of 10 MiB", "GET 10 MiB, warm, 16 connections"),
            ("8-MiB ranges", "8 MiB of 1 GiB, 16 connections"),
        )
    ),
    *(
        Goal(f"mount: {c} of 1-KiB files ≥ the official client's", SMALL, f"{c}, 1 thread", OUR_MOUNT, ("juicefs mount",), at_least=1)
        for c in ("read, cold", "read, warm")
    ),
    Goal("mount: 256 MiB in sequence, cold ≥ the official client's", LARGE, "read 256 MiB, cold", OUR_MOUNT, ("juicefs mount",), at_least=1),
)


def chosen():
    """The cells that the goals name, with the servers that they compare."""
    found = set()
    for cell in (*cells.all_cells(), *jfs_cells.all_cells()):
        goals = [g for g in GOALS if (g.group, g.cell) == (cell.group, cell.name) and {g.ours, *g.theirs} <= set(cell.servers)]
        named = {name for g in goals for name in (g.ours, *g.theirs)}
        found.update(goals)
        if named:
            yield dataclasses.replace(cell, servers=tuple(n for n in cell.servers if n in named))
    lost = [g.text for g in GOALS if g not in found]
    if lost:
        raise SystemExit(f"no cell measures: {'; '.join(lost)}")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def rows(results):
    """(goal, measured, verdict) of the goals whose cells were measured."""
    measured = {(cell.group, cell.name): samples for cell, samples in results}
    for goal in GOALS:
        if (goal.group, goal.cell) not in measured:
            continue
        values = goal.values(measured[goal.group, goal.cell])
        if not values:
            yield goal.text, "–", "not measured"
            continue
        middle = statistics.median(values)
        reached = sum(map(goal.is_met, values))
        verdict = "reached" if goal.is_met(middle) else "missed"
        if 0 < reached < len(values):
            verdict += f" ({reached} of {len(values)} rounds)"
        yield goal.text, f"{number(middle)} ({number(min(values))}–{number(max(values))})", verdict


def table(results):
    lines = ["| goal | measured (spread) | |", "|---|--:|---|"]
    lines += [f"| {text} | {value} | {verdict} |" for text, value, verdict in rows(results)]
    return "\n".join(lines) + "\n"
