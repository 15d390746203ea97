"""Sums JUnit reports of ctest and pytest: names what failed or was skipped, then one line `N passed, N failed`."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None or case.get("status") in ("fail", "notrun"):
        return "failed"
    if case.find("skipped") is not None or case.get("status") == "disabled":
        return "skipped"
    return "passed"


def main(paths):
    found = {"passed": [], "failed": [], "skipped": []}
    for path in map(pathlib.Path, paths):
        stage = path.parts[-3] if len(path.parts) > 2 else ""
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except (OSError, ElementTree.ParseError) as e:
            found["failed"].append(f"{stage}: {path.name} is missing: the run itself broke ({e})")
            continue
        # A test that was tried again is listed twice; its last try counts.
        last = {f"{stage}: {case.get('classname') or ''} {case.get('name')}": outcome(case) for case in cases}
        for name, how in last.items():
            found[how].append(name)
    for kind in ("skipped", "failed"):
        for name in found[kind]:
            print(f"{kind}  {name}")
    failed = len(found["failed"])
    print(f"{len(found['passed'])} passed, {failed} failed")
    return 1 if failed or not found["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
