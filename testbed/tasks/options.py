"""Help texts of options that several tasks have."""

from __future__ import annotations

HOST_HELP = (
    "another Docker host: a compose file, a folder with one, or several files with commas between (docs/hosts.md)"
)
ENGINE_HELP = (
    "version of Docker whose rules it has: 20.10 to 29, 29-nftables (default: 20.10 for the article's host, else 28)"
)
RULES_HELP = (
    "file with another rule set: what iptables-save, ip6tables-save and `ipset save` print, behind each other or in"
    " files of their own with commas between them, or what `nft list ruleset` prints (docs/regression.md); - reads"
    " standard input"
)
DEFAULT_NAME = "testbed"  # of the bed that `invoke up` makes
BACKEND_HELP = "nft or legacy; a bed that is up with the other one is left alone"
PROCESSES_PER_PROCESSOR = 8
JOBS_HELP = (
    f"how many processes, up to {PROCESSES_PER_PROCESSOR} for each processor; 0 for one without pytest-xdist"
    " (default: one for each processor)"
)
SIDES_HELP = "A file of rules, a table of `invoke behaviours`, a version of Docker's engine, or `article`."
PCAP_HELP = "file to write the packets to as pcapng, link by link, with what rules did to each as its comments"
SENDERS = "client, internet, a container, a network (one of its machines) or any address"
