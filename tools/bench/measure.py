"""Runs a command and measures it from outside: wall seconds, CPU seconds and peak memory of its process tree, without the servers it talks to."""
import os
import signal
import subprocess
import time

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def tree(session):
    """What the processes of a session use now: CPU seconds by process, and memory in bytes."""
    cpu, memory = {}, 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session:
            cpu[pid, fields[19]] = (int(fields[11]) + int(fields[12])) / TICKS
            memory += int(fields[21]) * PAGE
    return cpu, memory


def measure(command, environment, limit, log, folder):
    """The command gets a session of its own, by which its processes are found. After `limit` seconds they are killed."""
    cpu, peak, start, late = {}, 0, time.monotonic(), False
    with open(log, "ab") as out:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            seen, memory = tree(process.pid)
            cpu.update(seen)
            peak = max(peak, memory)
            if time.monotonic() - start > limit:
                late = True
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(0.03)
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "wall_s": round(wall, 3),
        "cpu_s": round(max(sum(cpu.values()), usage.ru_utime + usage.ru_stime), 2),  # the second has what came after the last look
        "peak_mb": round(max(peak, usage.ru_maxrss * 1024) / 2**20),
        "error": f"ended after {limit} s" if late else "" if process.returncode == 0 else f"exit code {process.returncode}",
    }
