"""Tables and plots of what was measured: Markdown and SVG, without libraries."""

import html
import re
import statistics

COLOURS = {"sluice": "#2a6fbb", "nginx": "#3a9a4b", "versitygw": "#c8553d", "rclone": "#8a6fc0", "minio": "#c99a2e"}
FLOOR_COLOUR = "#8c8c8c"


def median(samples, field):
    return statistics.median(getattr(s, field) for s in samples)


def reference(names):
    return next(n for n in names if n.startswith("sluice"))


def ratios(cell_samples, name):
    """The reference's rate over that server's, round by round: what disturbs the machine disturbs both."""
    ours = cell_samples[reference(cell_samples)]
    return [a.rate / b.rate for a, b in zip(ours, cell_samples[name], strict=True) if b.rate]


def number(value, digits=3):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if value else "–"


def rate_text(cell, samples):
    rate = median(samples, "rate")
    if cell.kind.startswith("list"):
        return f"{number(rate)} keys/s"
    throughput = median(samples, "bytes_per_s") / 2**20
    if cell.kind == "complete":
        return f"{number(1000 / rate)} ms" if rate else "–"
    if cell.size in ("128 KiB", "1 MiB", "10 MiB", "64 MiB", "256 MiB", "1 GiB") and not cell.kind.startswith(("random", "head")):
        return f"{number(throughput)} MiB/s"
    return f"{number(rate)} /s"


def ratio_text(cell_samples, name):
    if name == reference(cell_samples):
        return "1"
    values = ratios(cell_samples, name)
    if not values:
        return "–"
    return f"**{statistics.median(values):.2f}** ({min(values):.2f}–{max(values):.2f})"


def rows(cell, cell_samples):
    first = cell.name
    for name, samples in cell_samples.items():
        share = median(samples, "client_share")
        yield [
            first,
            name,
            rate_text(cell, samples),
            ratio_text(cell_samples, name),
            number(median(samples, "cpu_per_unit_us")),
            number(median(samples, "cpu_per_gib_s")),
            number(median(samples, "p99_ms")),
            number(median(samples, "memory_mib")),
            f"{share:.0%}" + (" ← the limit" if share > 0.9 else "") if share else "–",
        ]
        first = ""


HEAD = ["", "server", "median", "sluice ÷ it (spread)", "CPU µs each", "CPU s/GiB", "p99 ms", "RSS MiB", "client busy"]


def tables(results):
    """results: [(cell, {server: [sample]})], in order."""
    text, group = [], None
    for cell, cell_samples in results:
        if cell.group != group:
            group = cell.group
            text += ["", f"### {group}", "", "| " + " | ".join(HEAD) + " |", "|" + "---|" * 2 + "--:|" * (len(HEAD) - 2)]
        text += ["| " + " | ".join(row) + " |" for row in rows(cell, cell_samples)]
    return "\n".join(text).strip() + "\n"


def colour(name):
    return COLOURS.get(name.split()[0], FLOOR_COLOUR)


def plot(group, results):
    """Bars of one group: each server's rate, sluice's being 1, with the spread of the rounds."""
    bars, y = [], 34
    widest = max([1.0] + [1 / min(ratios(samples, name)) for _, samples in results for name in samples if ratios(samples, name)])
    scale = 420 / min(widest, 4)
    for cell, cell_samples in results:
        bars.append(f'<text x="8" y="{y + 12}" font-weight="bold">{html.escape(cell.name)}</text>')
        y += 18
        for name in cell_samples:
            values = [1 / r for r in ratios(cell_samples, name)]
            if not values:
                continue
            middle, low, high = statistics.median(values), min(values), max(values)
            width = min(middle, 4) * scale
            bars.append(f'<text x="130" y="{y + 11}" text-anchor="end">{html.escape(name)}</text>')
            bars.append(f'<rect x="138" y="{y}" width="{width:.1f}" height="13" fill="{colour(name)}"/>')
            a, b = (138 + min(v, 4) * scale for v in (low, high))
            bars.append(f'<path d="M{a:.1f} {y + 6.5}H{b:.1f}" stroke="#222" stroke-width="1.5"/>')
            bars.append(f'<text x="{max(138 + width, b) + 6:.1f}" y="{y + 11}">{middle:.2f}</text>')
            y += 17
        y += 6
    title = f'<text x="8" y="20" font-size="14">{html.escape(group)}: rate, sluice = 1 (line: spread of the rounds)</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{y + 6}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>{title}{"".join(bars)}</svg>\n'
    )


def write(folder, results):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text(tables(results))
    groups = list(dict.fromkeys(cell.group for cell, _ in results))
    for group in groups:
        of_group = [r for r in results if r[0].group == group]
        (folder / file_name(group)).write_text(plot(group, of_group))


def replace(path, section, text):
    """What stands between the section's marks in that document becomes text."""
    document = path.read_text()
    begin, end = f"<!-- bench: {section} -->", f"<!-- bench: end of {section} -->"
    before, mark, rest = document.partition(begin + "\n")
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise SystemExit(f"{path} has no section {section}")
    path.write_text(f"{before}{mark}\n{text.strip()}\n\n{closing}{after}")


def file_name(group):
    return re.sub("[^a-z0-9]+", "-", group.lower()).strip("-") + ".svg"


def section_of(cell):
    return "juicefs" if cell.group.startswith(("JuiceFS", "Mount")) else "results"


def document(folder, about, results, sections, goals):
    """Puts tables, plots and, unless empty, goals into the project's documentation; what was not measured stays."""
    (folder / "performance").mkdir(exist_ok=True)
    for section in sections:
        of_section = [r for r in results if section_of(r[0]) == section]
        if of_section:
            document_section(folder, section, about, of_section)
    if goals:
        replace(folder / "performance.md", "goals", f"{about}\n\n{goals}")
    page = (folder / "performance.md").read_text()
    for picture in (folder / "performance").glob("*.svg"):
        if f"performance/{picture.name}" not in page:
            picture.unlink()


def document_section(folder, section, about, results):
    text = tables(results)
    for group in dict.fromkeys(cell.group for cell, _ in results):
        of_group = [r for r in results if r[0].group == group]
        if sum(len(samples) for _, samples in of_group) < 4:
            continue  # a plot of two bars says no more than the table
        (folder / "performance" / file_name(group)).write_text(plot(group, of_group))
        text = text.replace(f"### {group}\n", f"### {group}\n\n![{group}](performance/{file_name(group)})\n", 1)
    replace(folder / "performance.md", section, f"{about}\n\n{text}")
