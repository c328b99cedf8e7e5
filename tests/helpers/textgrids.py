"""TextGrids in the two text formats of Praat, written by their description in Praat's manual."""

from __future__ import annotations


def long_format(tiers: list[tuple[str, list]], points: bool = False) -> str:
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", "xmax = 2 ", "tiers? <exists> "]
    out += [f"size = {len(tiers) + points} ", "item []: "]
    if points:
        out += ["    item [1]:", '        class = "TextTier" ', '        name = "clicks" ']
        out += ["        xmin = 0 ", "        xmax = 2 ", "        points: size = 1 "]
        out += ["        points [1]:", "            number = 0.5 ", '            mark = "x" ']
    for number, (name, intervals) in enumerate(tiers, 1 + points):
        out += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{name}" ']
        out += ["        xmin = 0 ", "        xmax = 2 ", f"        intervals: size = {len(intervals)} "]
        for place, (start, end, text) in enumerate(intervals, 1):
            out += [f"        intervals [{place}]:", f"            xmin = {start} ", f"            xmax = {end} "]
            out += [f'            text = "{text}" ']
    return "\n".join(out) + "\n"


def short_format(tiers: list[tuple[str, list]]) -> str:
    out = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "2", "<exists>", str(len(tiers))]
    for name, intervals in tiers:
        out += ['"IntervalTier"', f'"{name}"', "0", "2", str(len(intervals))]
        for start, end, text in intervals:
            out += [str(start), str(end), f'"{text}"']
    return "\n".join(out) + "\n"
