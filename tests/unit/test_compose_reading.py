"""How a project is read: variables, environment files, several files, extends, include, profiles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.docker import DockerHost, hostfile
from testbed.docker.compose import environment
from testbed.docker.compose.interpolation import ComposeVariables
from testbed.errors import TopologyError

VALUES = {"SET": "s", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("$SET-$$SET", "s-$SET"),
        ("${SET}${EMPTY}", "s"),
        ("${NONE:-d}${EMPTY:-d}${SET:-d}", "dds"),
        ("${NONE-d}${EMPTY-d}", "d"),
        ("${NONE:+a}${EMPTY:+a}${SET:+a}", "a"),
        ("${NONE+a}${EMPTY+a}", "a"),
        ("${SET:?no}${EMPTY?no}", "s"),
        ("${NONE:-${EMPTY:-${SET}}}", "s"),
        ('${NONE:-{"a": {}}}', '{"a": {}}'),
        ("a$ $1 $-", "a$ $1 $-"),
        ("${NONE:-a:b-c}", "a:b-c"),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, replaced: str) -> None:
    assert ComposeVariables(VALUES).replaced(text) == replaced


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${NONE:?give it}", "the variable NONE is required: give it"),
        ("${EMPTY:?}", "the variable EMPTY is required"),
        ("${NONE?${SET}}", "the variable NONE is required: s"),
        ("${}", r"\$\{\} is no variable"),
        ("${1}", r"\$\{1\} is no variable"),
        ("${SET", "without its closing brace"),
        ("${A:-" * 60 + "}" * 60, "nested too deeply"),
    ],
)
def test_variables_that_cannot_be_replaced_are_refused(text: str, said: str) -> None:
    with pytest.raises(TopologyError, match=said):
        ComposeVariables(VALUES).replaced(text)


def test_an_environment_file_has_quotes_comments_exports_and_variables() -> None:
    text = """# a comment
A=1 # of the value
export B = "two\\n${A}" # another
C='$A #'

D: yaml
E=
F="over
lines"
OUTER
G=$A-${NONE:-none}
"""
    assert environment.parse(text, "mine", {"OUTER": "o"}) == {
        "A": "1",
        "B": "two\n1",
        "C": "$A #",
        "D": "yaml",
        "E": "",
        "F": "over\nlines",
        "OUTER": "o",
        "G": "1-none",
    }
    with pytest.raises(TopologyError, match="mine, line 2: this is no KEY=VALUE"):
        environment.parse('A=1\nB="open\n', "mine", {})


class Folder:
    """A folder with a project."""

    def __init__(self, path: Path) -> None:
        self.path = path / "Shop_1"
        self.path.mkdir()

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(text)

    def host(self, *names: str, **environment: str) -> DockerHost:
        spec = ",".join(str(self.path / name) for name in names) if names else str(self.path)
        described = hostfile.described(spec, environment)
        assert hostfile.parse(described.text) == described.host
        return described.host


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def ports(host: DockerHost, name: str = "web") -> list[str]:
    return [str(port) for container in host.containers if container.name == name for port in container.published]


@pytest.mark.parametrize(
    ("beside", "values", "name"),
    [
        ({}, {}, "shop_1"),
        ({"compose.yml": "name: Own\n"}, {}, "own"),
        ({"compose.yml": "name: ${WHO:-who}\n"}, {"WHO": "me"}, "me"),
        ({".env": "COMPOSE_PROJECT_NAME=env"}, {}, "env"),
        (
            {"compose.yml": "name: own\n", ".env": "COMPOSE_PROJECT_NAME=env"},
            {"COMPOSE_PROJECT_NAME": "outer"},
            "outer",
        ),
    ],
)
def test_a_project_has_the_name_that_compose_gives_it(
    folder: Folder, beside: Mapping[str, str], values: Mapping[str, str], name: str
) -> None:
    for file, text in {"compose.yml": "", **beside}.items():
        folder.write(file, text)
    folder.write("compose.yml", beside.get("compose.yml", "") + "services: {web: {}}")
    host = folder.host(**values)
    assert host.containers[0].network.name == f"{name}_default"
    assert host.node_called(f"{name}-web-1") == "web"


def test_a_folder_is_read_with_its_override_file(folder: Folder) -> None:
    folder.write("docker-compose.yml", "services: {web: {ports: ['80:80']}, db: {}}")
    folder.write("docker-compose.override.yml", "services: {web: {ports: ['443:443', '80:80']}, more: {}}")
    host = folder.host()
    assert [container.name for container in host.containers] == ["web", "db", "more"]
    assert ports(host) == ["80:80/tcp", "443:443/tcp"]
    assert ports(folder.host("docker-compose.yml")) == ["80:80/tcp"]


def test_a_folder_without_a_compose_file_is_refused(folder: Folder) -> None:
    with pytest.raises(TopologyError, match=r"Shop_1 has no compose file"):
        folder.host()


BASE = """
networks: {a: {}, b: {internal: true, ipam: {config: [{subnet: 10.1.0.0/24}]}}}
services:
  web: {networks: [a], ports: ['80:80'], environment: {A: '1'}, depends_on: [db], expose: [1]}
  db: {networks: {b: {ipv4_address: 10.1.0.9}}}
"""


@pytest.mark.parametrize(
    ("over", "networks", "published"),
    [
        ("services: {web: {networks: {b: {aliases: [x]}}}}", ["t_a", "t_b"], ["80:80/tcp"]),
        ("services: {web: {networks: !override [b], ports: !reset []}}", ["t_b"], []),
        ("services: {web: {networks: !reset null}}", ["t_default"], ["80:80/tcp"]),
        ("services: {web: {ports: !override ['81:81'], environment: [A=2]}}", ["t_a"], ["81:81/tcp"]),
        ("services: {web: {depends_on: {db: {condition: service_healthy}}}}", ["t_a"], ["80:80/tcp"]),
        ("services: {web: }", ["t_a"], ["80:80/tcp"]),
        ("networks: {b: {ipam: {config: [{subnet: 10.1.0.0/24, gateway: 10.1.0.7}]}}}", ["t_a"], ["80:80/tcp"]),
    ],
)
def test_a_later_file_is_merged_over_an_earlier_one(
    folder: Folder, over: str, networks: list[str], published: list[str]
) -> None:
    folder.write("base.yml", BASE)
    folder.write("over.yml", over)
    host = folder.host("base.yml", "over.yml", COMPOSE_PROJECT_NAME="t")
    web = next(container for container in host.containers if container.name == "web")
    assert [own.network.name for own in web.attachments] == networks
    assert ports(host) == published
    assert [str(n.gateway) for n in host.networks if n.name == "t_b"] == [
        "10.1.0.7/24" if "10.1.0.7" in over else "10.1.0.1/24"
    ]


def test_files_of_different_kinds_are_refused_with_both_places(folder: Folder) -> None:
    folder.write("base.yml", BASE)
    folder.write("over.yml", "services:\n  web:\n    ports: '80'")
    with pytest.raises(
        TopologyError, match=r"over\.yml, line 3: services\.web\.ports is of another kind than at .*line 4"
    ):
        folder.host("base.yml", "over.yml")


def test_services_extend_others_of_this_and_of_other_files(folder: Folder) -> None:
    folder.write("common/base.yml", "services: {base: {ports: ['1:1'], extends: root}, root: {ports: ['${P:-2}:2']}}")
    folder.write(
        "compose.yml",
        "services: {web: {extends: {file: common/base.yml, service: base}, ports: ['3:3']}, app: {extends: own},"
        " own: {mac_address: '02:00:00:00:00:01'}}",
    )
    host = folder.host(P="9")
    assert ports(host) == ["9:2/tcp", "1:1/tcp", "3:3/tcp"]
    assert [c.mac for c in host.containers if c.name == "app"] == ["02:00:00:00:00:01"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {a: {extends: b}, b: {extends: a}}", "extends itself"),
        ("services: {a: {extends: none}}", "line 1: there is no service none to extend"),
        ("services: {a: {extends: {file: none.yml, service: x}}}", r"line 1: .*none\.yml cannot be read"),
        ("include: [compose.yml]", "includes itself"),
        ("include: [none.yml]", r"line 1: .*none\.yml cannot be read"),
        ("include: ['https://example.org/a.yml']", "nothing is fetched"),
        ("services: {a: {depends_on: [b]}, b: {links: ['a:x']}}", "wait for each other"),
        ("services: {a: {depends_on: [b]}}", "needs the service b, which is not there"),
        ("include: [x.yml]", r"^(?!.*compose\.yml).*x\.yml, line 2: the key prt is not known here"),
    ],
)
def test_what_refers_to_nothing_or_to_itself_is_refused(folder: Folder, text: str, said: str) -> None:
    folder.write("compose.yml", text)
    folder.write("x.yml", "services:\n  web: {prt: 1}")
    with pytest.raises(TopologyError, match=said):
        folder.host()


def test_an_included_file_has_its_own_folder_and_environment(folder: Folder) -> None:
    folder.write("compose.yml", "include: [part/compose.yml]\nservices: {web: {depends_on: [db], networks: [n]}}")
    folder.write(
        "part/compose.yml",
        "networks: {n: {name: '${N}'}}\nservices: {db: {networks: [n], extends: {file: x.yml, service: x}}}",
    )
    folder.write("part/x.yml", "services: {x: {ports: ['5432:5432']}}")
    folder.write("part/.env", "N=part")
    host = folder.host()
    assert [container.name for container in host.containers] == ["db", "web"]
    assert {container.network.name for container in host.containers} == {"part"}
    assert ports(host, "db") == ["5432:5432/tcp"]


def test_a_service_may_wait_for_one_that_need_not_be_there(folder: Folder) -> None:
    folder.write("compose.yml", "services: {a: {depends_on: {b: {condition: service_started, required: false}}}}")
    assert [container.name for container in folder.host().containers] == ["a"]


def test_services_of_profiles_that_are_not_chosen_are_left_out(folder: Folder) -> None:
    folder.write("compose.yml", "services: {web: {}, debug: {profiles: [dev], networks: [d]}}\nnetworks: {d: {}}")
    host = folder.host()
    assert [container.name for container in host.containers] == ["web"]
    assert "debug is not started: its profile is not chosen (COMPOSE_PROFILES=dev)." in host.remarks
    for chosen in ("dev", "x, dev", "*"):
        assert [c.name for c in folder.host(COMPOSE_PROFILES=chosen).containers] == ["web", "debug"]


def test_environment_files_and_a_daemon_json_stand_beside_compose_files(folder: Folder) -> None:
    folder.write("compose.yml", "services: {web: {ports: ['${P}:80'], network_mode: bridge}}")
    folder.write("prod.env", "P=8080")
    folder.write("daemon.json", '{"bip": "10.9.0.1/24", "log-driver": "json-file"}')
    host = folder.host("compose.yml", "prod.env", "daemon.json")
    assert ports(host) == ["8080:80/tcp"]
    assert str(host.containers[0].address) == "10.9.0.2"
    folder.write("daemon.json", "{bip: 1}")
    with pytest.raises(TopologyError, match=r"daemon\.json is no JSON"):
        folder.host("compose.yml", "daemon.json")


def test_services_and_networks_may_be_called_as_keys_are(folder: Folder) -> None:
    folder.write(
        "compose.yml",
        "networks: {build: {}}\nservices: {init: {networks: [build], init: true}, restart: {networks: [build]}}",
    )
    host = folder.host()
    assert [(c.name, c.network.name) for c in host.containers] == [
        ("init", "shop_1_build"),
        ("restart", "shop_1_build"),
    ]


def test_a_variable_that_is_not_set_is_reported_where_it_counts(folder: Folder) -> None:
    folder.write(
        "compose.yml", "services:\n  web:\n    environment: ['A=$NONE', 'B=${OTHER:-}']\n    ports: ['${PORT}80:80']"
    )
    host = folder.host()
    assert ports(host) == ["80:80/tcp"]
    (remark,) = host.remarks
    assert remark.endswith("compose.yml, line 4: the variable PORT is not set, and empty here.")


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {environment: ['B=${OTHER:?give it}']}}",
        "services: {web: {image: 'a:${OTHER?give it}', profiles: [p]}}",
        "services: {web: {x-own: {a: [1, '${OTHER:?give it}']}}}",
        "services: {web: {}}\nvolumes: {v: {name: '${OTHER:?give it}'}}",
        "services: {web: {}}\nx-own: '${OTHER:?give it}'",
    ],
)
def test_a_required_variable_is_required_wherever_it_stands(folder: Folder, text: str) -> None:
    folder.write("compose.yml", text)
    with pytest.raises(TopologyError, match=r"compose\.yml, line \d: the variable OTHER is required: give it"):
        folder.host()
    assert "OTHER" not in " ".join(folder.host(OTHER="x").remarks)
