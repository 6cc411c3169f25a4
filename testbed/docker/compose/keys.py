"""The keys of the compose specification, by what they mean for packets."""

from __future__ import annotations

from difflib import get_close_matches

from testbed.docker.problems import Problems
from testbed.docker.tree import Tree

EXTENSION = "x-"
_SHOWN = 12  # known keys that an error lists
DOCUMENT = (
    *("name", "version", "include", "services", "networks", "daemon", "host"),
    *("volumes", "secrets", "configs", "models"),
)
NETWORK = (
    *("name", "external", "driver", "driver_opts", "internal", "attachable", "enable_ipv4", "enable_ipv6", "ipam"),
    "labels",
)
POOL = ("subnet", "ip_range", "gateway", "aux_addresses")
ENDPOINT = (
    *("aliases", "ipv4_address", "ipv6_address", "mac_address", "priority", "gw_priority"),
    *("interface_name", "link_local_ips", "driver_opts"),
)
_FILTERED = (
    *("ports", "networks", "network_mode", "container_name", "mac_address", "depends_on", "links", "volumes_from"),
    *("expose", "profiles", "scale", "deploy", "sysctls", "provider", "extends"),
)
_WITHOUT_PART = """
annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs cpu_count cpu_percent
cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec develop device_cgroup_rules
devices dns dns_opt dns_search domainname entrypoint env_file environment external_links extra_hosts gpus group_add
healthcheck hostname image init ipc isolation label_file labels logging mem_limit mem_reservation mem_swappiness
memswap_limit models oom_kill_disable oom_score_adj pid pids_limit platform post_start pre_start pre_stop privileged
pull_policy pull_refresh_after read_only restart runtime secrets security_opt shm_size stdin_open stop_grace_period
stop_signal storage_opt tmpfs tty ulimits use_api_socket user userns_mode uts volume_driver volumes working_dir
"""
PASSED = tuple(_WITHOUT_PART.split())
SERVICE = (*_FILTERED, *PASSED)


def only(tree: Tree, known: tuple[str, ...], problems: Problems) -> None:
    """Report every key that is neither known nor an extension (`x-`), with the known one that is most like it."""
    for key, entry in tree.mapping:
        if key not in known and not key.startswith(EXTENSION):
            alike = get_close_matches(key, known, n=1) or known[:_SHOWN]
            more = ", and others" if len(alike) == _SHOWN < len(known) else ""
            problems.add(entry.error(f"the key {key} is not known here.", f"Known are {', '.join(alike)}{more}."))
