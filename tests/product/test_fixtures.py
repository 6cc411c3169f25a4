"""The fixtures, the marker and the ini keys of the pytest plugin, in a repository that knows nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOST = "services:\n  mail: {network_mode: bridge, ports: ['2525:25']}\n"
TEN_LINES = """\
import pytest

pytestmark = pytest.mark.testbed(host="docker.yaml", engine="28")


def test_smtp_is_published(bed):
    syn = bed.connect("client", "host:2525").syn  # no receiver named
    assert syn.delivered_to == "mail"
    assert syn.dnat == "172.17.0.2:25"


def test_container_port_is_closed_to_the_lan(bed):
    syn = bed.connect("client", "172.17.0.2:26", via="host").syn
    assert syn.dropped_by.table == "raw"
"""
STRANGER = """\
import pytest

from testbed import PacketVerdict, Testbed
from testbed.pytest_plugin import MakeBed
from testbed.rules import AnyRuleset
from testbed.traffic.layers import IP, UDP

pytestmark = pytest.mark.testbed(host="docker.yaml")


def test_smtp_is_published(bed: Testbed) -> None:
    syn = bed.connect("client", "host:2525").syn
    assert syn.delivered_to == "mail"
    assert syn.verdict is PacketVerdict.DELIVERED
    assert syn.dnat.endswith(":25")


def test_udp_is_closed(make_bed: MakeBed, testbed_rules: AnyRuleset) -> None:
    bed = make_bed("docker.yaml", engine="26.1")
    packet = IP(src="192.168.66.1", dst="172.17.0.2") / UDP(dport=9)
    result = bed.send(packet, "client", via="host")
    assert result.dropped_by.chain == "FORWARD"
    assert result.dropped_by.number is None
    assert testbed_rules.number_of_rules > 0
    with bed.tracing():
        assert bed.connect("client", ("host", 2525)).handshake()[0].journey.end.where == "mail"
"""
RULES = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {}\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docker.yaml").write_text(HOST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def test_ten_lines_pass_as_they_stand(folder: Path) -> None:
    (folder / "test_mail.py").write_text(TEN_LINES)
    finished = run(folder, "--strict-markers")
    assert finished.returncode == 0, finished.stdout
    assert "2 passed" in finished.stdout


def test_strangers_test_file_is_clean_by_mypy_and_passes(folder: Path) -> None:
    (folder / "test_stranger.py").write_text(STRANGER)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), "test_stranger.py"]
    judged = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert (judged.returncode, judged.stdout) == (0, "Success: no issues found in 1 source file\n")
    finished = run(folder)
    assert "2 passed" in finished.stdout, finished.stdout


@pytest.mark.parametrize(
    ("ini", "engine"),
    [("", "DEFAULT_ENGINE"), ("testbed_engine = 26.1", "'26.1'")],
    ids=["default engine", "engine of the ini file"],
)
def test_host_of_the_ini_file_has_the_rules_of_an_engine(folder: Path, ini: str, engine: str) -> None:
    (folder / "pytest.ini").write_text(f"[pytest]\ntestbed_host = docker.yaml\n{ini}\n")
    (folder / "test_it.py").write_text(
        "from testbed.docker.engines import DEFAULT_ENGINE, engine\n\n\n"
        "def test_it(bed):\n"
        '    assert bed.connect("client", "host:2525").syn.delivered_to == "mail"\n'
        f"    assert bed.loaded.origin.engine == engine({engine}).name\n"
    )
    finished = run(folder)
    assert "1 passed" in finished.stdout, finished.stdout


def test_rules_come_from_the_option_before_the_marker_and_the_marker_before_the_ini_file(folder: Path) -> None:
    for name, policy in (("open", "ACCEPT"), ("closed", "DROP"), ("shut", "DROP")):
        (folder / f"{name}.rules").write_text(RULES.format(f"{policy} [0:0]"))
    (folder / "pytest.ini").write_text("[pytest]\ntestbed_rules = closed.rules\n")
    (folder / "test_it.py").write_text(
        "import pytest\n\n\n"
        "def test_of_the_ini_file(bed):\n"
        '    syn = bed.connect("client", "172.17.0.2:80", via="host").syn\n'
        '    assert syn.dropped_by.source.endswith("closed.rules")\n\n\n'
        '@pytest.mark.testbed(rules="open.rules")\n'
        "def test_of_the_marker(bed):\n"
        '    assert bed.connect("client", "172.17.0.2:80", via="host").syn.delivered_to == "web"\n'
    )
    assert "2 passed" in run(folder).stdout
    with_option = run(folder, "--testbed-rules", "shut.rules").stdout
    assert "2 failed" in with_option


def test_backend_of_the_marker_is_the_one_that_loads(folder: Path) -> None:
    (folder / "test_it.py").write_text(
        "import pytest\n\n\n"
        '@pytest.mark.testbed(backend="legacy")\n'
        "def test_it(bed, testbed_backend):\n"
        '    assert (bed.backend.name, testbed_backend) == ("legacy", "legacy")\n'
    )
    assert "1 passed" in run(folder).stdout
    overridden = run(folder, "--testbed-backend", "nft").stdout
    assert "('nft', 'nft') == ('legacy', 'legacy')" in overridden


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('"docker.yaml"', "has 'docker.yaml' without a name."),
        ('hosts="docker.yaml"', "has no argument 'hosts'."),
        ("engine=28", "has engine=28."),
        ('engine="17"', "engine 17 is older than what is known."),
        ("host=7", "has host=7."),
        ("rules=7", "has rules=7."),
        ("backend=7", "has backend=7."),
        ('backend="nftables"', "the backend of the testbed is 'nftables'"),
    ],
)
def test_marker_with_wrong_arguments_is_refused_in_one_sentence(folder: Path, arguments: str, said: str) -> None:
    (folder / "test_it.py").write_text(
        f"import pytest\n\n\n@pytest.mark.testbed({arguments})\ndef test_it(bed):\n    raise AssertionError\n"
    )
    for options in ((), ("-n", "2")):
        finished = run(folder, *options)
        shown = finished.stdout + finished.stderr
        assert finished.returncode != 0
        assert said in shown
        assert "Traceback" not in shown
        assert "1 passed" not in shown


def test_file_that_is_missing_fails_the_test_with_its_sentence(folder: Path) -> None:
    (folder / "test_it.py").write_text(
        'import pytest\n\n\n@pytest.mark.testbed(host="none.yaml")\ndef test_it(bed):\n    pass\n'
    )
    finished = run(folder)
    assert "none.yaml" in finished.stdout
    assert "Traceback" not in finished.stdout
    assert "1 error" in finished.stdout
