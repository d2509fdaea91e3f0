"""Reads the demo's tables with delta-rs, which shares no code with their writer, and compares them with the report."""
import json
import os
import sys

from deltalake import DeltaTable

out, report_file = sys.argv[1:3]
with open(report_file, encoding="utf-8") as file:
    report = json.load(file)

problems = []
if not report["ok"]:
    problems.append("the report is not ok")
for name, key, expected in (
    ("xact_events", ["event_id"], report["rows"]["events"]),
    ("xact_attachments", ["media_id", "replays"], report["rows"]["attachments"]),
):
    rows = DeltaTable(f"{out}/tables/{name}").to_pyarrow_table(columns=key).to_pylist()
    distinct = {tuple(row[column] for column in key) for row in rows}
    print(f"{name}: {len(rows)} rows, {len(distinct)} distinct keys, {expected} in the report")
    if not rows:
        problems.append(f"{name} has no rows")
    if len(rows) != len(distinct):
        problems.append(f"{name} has {len(rows) - len(distinct)} duplicate rows")
    if len(rows) != expected:
        problems.append(f"{name} has {len(rows)} rows, the report says {expected}")
for field in ("lost", "duplicates"):
    if report[field] != 0:
        problems.append(f"{field}: {report[field]}")
for problem in problems:
    print(f"WRONG: {problem}")
sys.stdout.flush()
# Not sys.exit: threads of the native libraries abort the interpreter while it is taken down, once in a while.
os._exit(1 if problems else 0)
