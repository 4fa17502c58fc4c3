"""What criterion measured, as a table and as JSON; the exit says whether all medians keep the bound."""

import json
import pathlib
import sys

BOUND_US = 20.0


def rows(home: pathlib.Path):
    """Each benchmark's name with its median and the ends of its 95 % interval, in microseconds."""
    for found in sorted(home.glob("**/new/estimates.json")):
        median = json.loads(found.read_text())["median"]
        interval = median["confidence_interval"]
        yield {
            "case": json.loads((found.parent / "benchmark.json").read_text())["full_id"],
            "median_us": round(median["point_estimate"] / 1000, 2),
            "low_us": round(interval["lower_bound"] / 1000, 2),
            "high_us": round(interval["upper_bound"] / 1000, 2),
        }


def main(home: str, report: str, commit: str) -> int:
    found = list(rows(pathlib.Path(home)))
    if not found:
        sys.exit("nothing was measured")
    width = max(len(row["case"]) for row in found)
    for row in found:
        mark = "" if row["median_us"] < BOUND_US else "  above the bound"
        print(f"{row['case']:{width}}  {row['median_us']:8.2f} µs  ({row['low_us']:.2f} to {row['high_us']:.2f}){mark}")
    above = [row["case"] for row in found if row["median_us"] >= BOUND_US]
    document = {"commit": commit, "bound_us": BOUND_US, "cases": found}
    pathlib.Path(report).write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(found) - len(above)} of {len(found)} cases keep the bound of {BOUND_US:.0f} µs")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
