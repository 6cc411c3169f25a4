"""What a pytest run loads that has the plugin installed and uses none of its fixtures."""

import subprocess
import sys
from pathlib import Path

CONFTEST = """
import sys

def pytest_unconfigure():
    with open("modules.txt", "w") as listed:
        listed.write("\\\\n".join(sys.modules))
"""
HEAVY = {"scapy", "pyroute2", "invoke", "rich", "jinja2", "yaml"}
OURS = {
    "testbed",
    "testbed.errors",
    "testbed.kernel",
    "testbed.kernel.programs",
    "testbed.pytest_plugin",
    "testbed.pytest_stash",
    "testbed.visible",
}


def test_run_without_fixtures_loads_only_options_and_names(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.replace("\\\\n", "\\n"))
    (tmp_path / "test_nothing_of_ours.py").write_text("def test_sum():\n    assert 1 + 1 == 2\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stdout
    loaded = (tmp_path / "modules.txt").read_text().split("\n")
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert {name for name in loaded if name.partition(".")[0] == "testbed"} == OURS


def test_public_names_of_the_package_are_all_there() -> None:
    import testbed

    assert sorted(testbed.__all__) == sorted(name for name in testbed.__all__ if getattr(testbed, name) is not None)
    assert set(testbed._MODULES) == set(testbed.__all__)
    assert len(testbed.__all__) > 10


def test_package_says_that_it_is_typed() -> None:
    import testbed

    assert Path(testbed.__file__).with_name("py.typed").exists()
