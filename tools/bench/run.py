#!/usr/bin/env python3
"""Loads the same data with lakestep and with its peers, in turn, checks what each has written, and prints how fast each was and what it took.

    tools/bench/run.py [--rows N] [--changes N] [--messages N] [--runs N] [--jobs snapshot,cdc,kafka] [--engines 'lakestep,dlt arrow'] [-o FILE.json]
"""
import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

from jobs import JOBS, Unavailable, sling
from measure import measure

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=5_000_000, help="of the table in the job snapshot")
    p.add_argument("--changes", type=int, default=1_000_000, help="in the replication slot in the job cdc")
    p.add_argument("--messages", type=int, default=5_000_000, help="in the topic in the job kafka")
    p.add_argument("--runs", type=int, default=3, help="of each engine")
    p.add_argument("--jobs", default=",".join(JOBS), help="which")
    p.add_argument("--engines", default="", help="which; default: lakestep and each peer in its fastest ways")
    p.add_argument("--limit", type=float, default=1800, help="seconds that a run may take")
    p.add_argument("--work", default=tempfile.gettempdir(), help="folder with some gigabytes of room")
    p.add_argument("--lakestep", default=os.path.join(ROOT, "bin/lakestep"), help="the program")
    p.add_argument("--tools", default=os.path.join(ROOT, ".tools"), help="what setup.sh installed")
    p.add_argument("--dlt-sources", default="", help="a checkout of github.com/dlt-hub/verified-sources")
    p.add_argument("--sling", default="", help="another program than the wheel's")
    p.add_argument("-o", "--output", default="", help="file for all measurements, as JSON")
    o = p.parse_args()
    o.jobs = [j for j in o.jobs.split(",") if j]
    o.engines = [e for e in o.engines.split(",") if e]
    unknown = [j for j in o.jobs if j not in JOBS] + [e for e in o.engines if not any(e in j.engines + j.more_engines for j in JOBS.values())]
    if unknown:
        p.error(f"unknown: {', '.join(unknown)}; jobs are {', '.join(JOBS)}, engines " + ", ".join(sorted({e for j in JOBS.values() for e in j.engines + j.more_engines})))
    o.work = tempfile.mkdtemp(prefix="lakestep-bench-", dir=o.work)
    os.chmod(o.work, 0o711)  # PostgreSQL does not run as root, and its folder is below
    return o


@contextlib.contextmanager
def servers(o, flag):
    """Starts what a job reads from; it ends with its input."""
    environment = {**os.environ, "TMPDIR": o.work, "LAKESTEP_TEST_KAFKA": os.path.join(o.tools, "kafka"), "LAKESTEP_TEST_REGISTRY": os.path.join(o.tools, "registry")}
    process = subprocess.Popen([os.path.join(o.tools, "bench/services"), "-test.run", "^$", "-test.bench", "^BenchmarkServices$", "-test.benchtime", "1x", flag],
                               env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said = []
        for line in process.stdout:
            if line.startswith("ADDRESSES "):
                yield json.loads(line.removeprefix("ADDRESSES "))
                return
            said.append(line)
        raise Unavailable("the servers did not start:\n" + "".join(said))
    finally:
        process.stdin.close()
        process.wait()


def verify(o, *arguments):
    command = [os.path.join(o.tools, "venv/bin/python"), os.path.join(ROOT, "tools/bench/verify.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout)


def say(*words):
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def tail(path):
    with open(path, errors="replace") as f:
        return "".join(f.readlines()[-15:])


def run(o, job, engine, want):
    """One run of one engine: measured, then checked."""
    out, log = os.path.join(o.work, "out"), os.path.join(o.work, "log")
    for path in (out, os.path.join(o.work, "dlt")):
        shutil.rmtree(path, ignore_errors=True)
    os.makedirs(out)
    open(log, "w").close()
    load = os.getloadavg()[0]
    command = job.command(engine, out)
    job.prepare(engine, out)
    m = measure(command, job.environment, o.limit, log, o.work)
    if not m["error"]:
        got = verify(o, "got", job.name, *job.written(engine, out), engine)
        if got != want:
            m["error"] = "WRONG ROWS: " + (got.get("error") or ", ".join(f"{k} {got[k]}, not {want[k]}" for k in want if got[k] != want[k]))
    if m["error"]:
        say(tail(log))
    shutil.rmtree(out, ignore_errors=True)
    return {"job": job.name, "engine": engine, "rows": job.count(), "rows_s": round(job.count() / m["wall_s"]), "load": round(load, 1), **m}


def run_job(o, job, results, missing):
    """All runs of a job: each engine once, then each again."""
    engines = [e for e in job.engines + job.more_engines if e in o.engines] if o.engines else list(job.engines)
    if not engines:
        return
    say(f"{job.name}: making {job.count():,} {job.unit}")
    job.fill()
    want = verify(o, "want", job.name, str(job.count()))
    for r in range(o.runs):
        for engine in list(engines):
            try:
                result = {**run(o, job, engine, want), "run": r}
            except Unavailable as e:
                missing.append(f"{job.name}, {engine}: {e}")
                engines.remove(engine)
                continue
            results.append(result)
            say(f"{job.name}: {engine}: {result['error'] or format(result['rows_s'], ',') + ' ' + job.unit + '/s'}, {result['wall_s']} s, {result['peak_mb']} MB")
            if result["error"]:
                engines.remove(engine)


def spread(values, form):
    return f"{form(statistics.median(values))} ({form(min(values))}-{form(max(values))})"


def table(results):
    """A line a job and engine. The ratio is of runs that followed one another: how often lakestep's rows/s the engine's are."""
    header = ["job", "engine", "rows", "rows/s median (min-max)", "wall s", "CPU s", "peak MB", "lakestep is faster by", "check"]
    lines = []
    for job, engine in dict.fromkeys((r["job"], r["engine"]) for r in results):
        mine = [r for r in results if (r["job"], r["engine"]) == (job, engine)]
        good = [r for r in mine if not r["error"]]
        ours = {r["run"]: r["rows_s"] for r in results if r["job"] == job and r["engine"] == "lakestep" and not r["error"]}
        ratios = [ours[r["run"]] / r["rows_s"] for r in good if r["run"] in ours and engine != "lakestep"]
        check = "FAILED" if any(r["error"] for r in mine) else "same rows"
        numbers = ["", "", "", ""] if not good else [
            spread([r["rows_s"] for r in good], lambda v: f"{v:,.0f}"), f"{statistics.median(r['wall_s'] for r in good):.1f}",
            f"{statistics.median(r['cpu_s'] for r in good):.1f}", f"{max(r['peak_mb'] for r in good):,}"]
        lines.append([job, engine, f"{mine[0]['rows']:,}", *numbers, spread(ratios, lambda v: f"{v:.2f}x") if ratios else "", check])
    widths = [max(len(row[i]) for row in [header, *lines]) for i in range(len(header))]
    for row in [header, ["-" * w for w in widths], *lines]:
        print("| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |")


def versions(o):
    v = {"python": platform.python_version(), **{p: version(p) for p in ("dlt", "connectorx", "deltalake", "pyarrow", "confluent-kafka")}}
    with contextlib.suppress(Unavailable, OSError):
        v["sling"] = subprocess.run([sling(o), "--version"], capture_output=True, text=True, env={**os.environ, "SLING_HOME_DIR": o.work}).stdout.split()[-1]
    with contextlib.suppress(OSError):
        v["lakestep"] = subprocess.run([o.lakestep, "--version"], capture_output=True, text=True).stdout.split()[-1]
    return v


def main():
    o = options()
    results, missing, failed = [], [], False
    try:
        used = versions(o)
        for name in o.jobs:
            try:
                with servers(o, JOBS[name].servers_flag) as addresses:
                    run_job(o, JOBS[name](o, addresses), results, missing)
            except Unavailable as e:
                missing.append(f"{name}: {e}")
            except subprocess.CalledProcessError as e:
                missing.append(f"{name}: {e}")
                failed = True
    finally:
        shutil.rmtree(o.work, ignore_errors=True)
    print()
    table(results)
    print("\n" + ", ".join(f"{k} {v}" for k, v in used.items()) + f"; {os.cpu_count()} cores; the load was {max((r['load'] for r in results), default=0)} at most before a run")
    notes = [f"{name}: {n}" for name in o.jobs for n in JOBS[name].notes]
    for r in results:
        if r["error"]:
            print(f"*** FAILED: {r['job']}, {r['engine']}: {r['error']}")
    for m in missing:
        print(f"*** NOT COMPARED: {m}")
    for n in notes:
        print(n)
    if o.output:
        with open(o.output, "w") as f:
            json.dump({"versions": used, "cores": os.cpu_count(), "missing": missing, "notes": notes, "results": results}, f, indent=1)
    sys.exit(1 if failed or any(r["error"] for r in results) else 0)


main()
