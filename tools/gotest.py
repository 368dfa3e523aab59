"""Reads `go test -json` from stdin and prints what a person needs: a line per package with tests, all of a failed test's
output, what a test says behind "SCORE:", and adds each reason for which tests were skipped to the file named by the argument. Exit code 1 when
anything failed."""
import collections
import json
import sys

output = collections.defaultdict(list)  # (package, test) -> lines
skips = collections.Counter()
counts = collections.Counter()
failed = False


def show(key):
    sys.stdout.write("".join(output.pop(key, [])))


for line in sys.stdin:
    try:
        event = json.loads(line)
    except ValueError:  # go itself, for example a module that cannot be fetched
        sys.stdout.write(line)
        failed = True
        continue
    action, package, test = event["Action"], event.get("Package", ""), event.get("Test", "")
    key = (package, test)
    if action == "build-output":
        sys.stdout.write(event["Output"])
    elif action == "build-fail":
        failed = True
    elif action == "output":
        output[key].append(event["Output"])
    elif action in ("pass", "fail", "skip") and test:
        counts[action] += 1
        if action == "skip":
            why = [l.split("SKIPPED:", 1)[1].strip() for l in output[key] if "SKIPPED:" in l]
            skips[why[0] if why else "no reason given: " + package + " " + test] += 1
        if action == "fail":
            failed = True
            show(key)
        else:
            for line in output.pop(key, []):
                if "SCORE:" in line:
                    print("      " + line.split("SCORE:", 1)[1].strip())
    elif action == "fail":
        failed = True
        show(key)  # "FAIL package seconds", or what a panic left
        for other in [k for k in output if k[0] == package]:
            show(other)
    elif action == "pass":
        sys.stdout.write("".join(l for l in output.pop(key, []) if l.startswith("ok")))
    sys.stdout.flush()

print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
with open(sys.argv[1], "a") as f:
    for why, n in skips.most_common():
        f.write(f"SKIPPED ({n}): {why}\n")
sys.exit(1 if failed else 0)
