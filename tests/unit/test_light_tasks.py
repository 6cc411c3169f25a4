"""What `invoke --list` loads: the tasks' names, options and help, and nothing that a task needs only when it runs."""

import json
import subprocess
import sys

HEAVY = {"scapy", "pyroute2", "pytest", "_pytest", "jinja2", "rich"}
TASKS = {
    *("ask", "lint"),
    *("beds", "behaviours", "bench", "capture", "check", "claims", "conformance", "coverage", "diff", "doctor"),
    *("exposure", "handshake", "inside", "mutate", "report", "rules", "test", "trace", "twin"),
}
SHARED = {
    *(
        "called",
        "commandline",
        "console",
        "exit_codes",
        "failures",
        "host_options",
        "interruption",
        "options",
        "settings",
    ),
    *("rootless", "streams", "values"),
}
LISTED = """
import json, sys
from testbed.tasks import namespace
print(json.dumps([sorted(sys.modules), sorted(namespace.task_names)]))
"""


def loaded() -> tuple[list[str], list[str]]:
    """Modules that are loaded after `testbed.tasks`, and the names of the tasks."""
    finished = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, timeout=60, check=True)
    modules, tasks = json.loads(finished.stdout)
    return modules, tasks


def test_loading_the_tasks_loads_no_heavy_module() -> None:
    modules, tasks = loaded()
    assert len(tasks) == 24
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()


def test_loading_the_tasks_loads_only_options_and_help() -> None:
    modules, _ = loaded()
    ours = {name for name in modules if name.partition(".")[0] == "testbed"}
    expected = {
        "testbed",
        "testbed.errors",
        "testbed.tasks",
        "testbed.visible",
        *(f"testbed.tasks.{name}" for name in TASKS | SHARED),
    }
    assert ours == expected
