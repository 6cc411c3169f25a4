#!/bin/sh
# Print a capture of this host's network: one text in sections, for docker-host-testbed and for people to review.
#
# Run it as root on the host: sh capture.sh > host.capture, or ssh HOST sh -s < capture.sh > host.capture
# It only reads: it changes nothing, writes no file, loads no kernel module and sends nothing. Of containers it reads
# state, networks, ports and compose labels; never environment, command lines, mounts or images.
#
# A section is between "== NAME" and "== end NAME: STATUS". A space is before each of its lines, so that no text from
# the host looks like the beginning or the end of one. All is read twice; "changed" names what changed meanwhile.

export LC_ALL=C LANGUAGE=C DOCKER_HOST=unix:///var/run/docker.sock
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
unset CONTAINER_HOST

have() { command -v "$1" >/dev/null 2>&1; }

# section NAME COMMAND...: print what a command prints, with ? for control characters; if it fails, its message too
section() {
    name=$1
    shift
    echo "== $name"
    printed=$("$@" 2>/dev/null)
    status=$?
    [ $status -eq 0 ] || printed=$("$@" 2>&1)
    [ -z "$printed" ] || printf '%s\n' "$printed" | tr '\001-\010\013-\037\177' '?' | sed 's/^/ /'
    if [ $status -eq 0 ]; then echo "== end $name: ok"; else echo "== end $name: failed with status $status"; fi
}

# absent NAME REASON: print a section without content
absent() { printf '== %s\n== end %s: absent, %s\n' "$1" "$1" "$2"; }

# usable MODULE: whether its programs run without loading it
usable() {
    [ ! -r /proc/modules ] || [ -d "/sys/module/$1" ] || grep -q "^$1 " /proc/modules ||
        grep -q "/$1\.ko" "/lib/modules/$(uname -r)/modules.builtin" 2>/dev/null
}

# objects: put each object of a JSON list on a line of its own
objects() { sed -E 's/\},\{"(ifindex|type|dst|priority|ifname|kind)"/},\
 {"\1"/g'; }

# json PROGRAM ARGUMENT...: run iproute2 with JSON if it has it
json() {
    program=$1
    shift
    if printed=$("$program" -j "$@" 2>/dev/null); then
        printf '%s\n' "$printed" | objects
    else
        "$program" "$@"
    fi
}

versions() {
    echo "time $(date -u '+%Y-%m-%dT%H:%M:%SZ')"
    echo "host $(uname -n)"
    echo "kernel $(uname -srm)"
    for program in "ip -V" "iptables -V" "ip6tables -V" "nft --version" "ipset --version"; do
        # shellcheck disable=SC2086 # a program and its option
        if have "${program%% *}"; then echo "${program%% *}: $($program 2>/dev/null | head -n 1)"; fi
    done
}

# sysctls: all of net but those of neighbours, and those of a device that are as the default is
sysctls() {
    sysctl -a 2>/dev/null | awk '
        !/^net\./ || /^net\.ipv[46]\.neigh\./ || /\.stable_secret/ { next }
        { line[++lines] = $0; at = index($0, " ="); key = substr($0, 1, at - 1); value[key] = substr($0, at) }
        END {
            for (number = 1; number <= lines; number++) {
                at = index(line[number], " ="); key = substr(line[number], 1, at - 1); other = key
                if (key ~ /^net\.ipv[46]\.conf\./ && key !~ /^net\.ipv[46]\.conf\.(all|default)\./) {
                    last = key; sub(/.*\./, "", last); other = substr(key, 1, 14) "default." last
                }
                if (key == other || value[key] != value[other]) print line[number]
            }
        }'
}

# saver FAMILY BACKEND: print the program that saves rules of iptables or ip6tables in a backend, if there is one
saver() {
    if have "$1-$2-save"; then echo "$1-$2-save" && return; fi
    have "$1-save" || return 1
    case $2-$("$1" -V 2>/dev/null) in
    nft-*nf_tables*) echo "$1-save" ;;
    legacy-*nf_tables* | nft-*) return 1 ;;
    *) echo "$1-save" ;;
    esac
}

# rules FAMILY BACKEND: print a section of rules with their counters
rules() {
    names=/proc/net/ip_tables_names
    [ "$1" = iptables ] || names=/proc/net/ip6_tables_names
    if ! program=$(saver "$1" "$2"); then
        absent "$1-$2" "no program $1-$2-save"
    elif [ "$2" = nft ] && ! usable nf_tables; then
        absent "$1-$2" "the kernel module nf_tables is not loaded"
    elif [ "$2" = legacy ] && ! grep -q . "$names" 2>/dev/null; then
        absent "$1-$2" "the kernel has no tables of it"
    else
        section "$1-$2" "$program" -c
    fi
}

# owned FAMILY PREFIX: print the nft tables that iptables-nft or ip6tables-nft own
owned() { if program=$(saver "$1" nft); then "$program" 2>/dev/null | sed -n "s/^\*/$2 /p"; fi; }

# not_owned OPTION...: print the nft tables that iptables does not own
not_owned() {
    of_iptables=$(owned iptables ip && owned ip6tables ip6)
    nft list tables | while read -r _ family table; do
        printf '%s\n' "$of_iptables" | grep -qxF "$family $table" || nft "$@" list table "$family" "$table"
    done
}

# in_kernel NAME PROGRAM MODULE COMMAND...: print a section if the program is there and its module is loaded
in_kernel() {
    name=$1 program=$2 module=$3
    shift 3
    if ! have "$program"; then
        absent "$name" "no program $program"
    elif ! usable "$module"; then
        absent "$name" "the kernel module $module is not loaded"
    else
        section "$name" "$@"
    fi
}

# other_filters: print what else drops or changes packets: ebtables, tc, IPVS (XDP programs are among the addresses)
other_filters() {
    if grep -q '^ebtable_' /proc/modules 2>/dev/null && have ebtables-save; then section ebtables ebtables-save; fi
    if have tc; then section tc tc_filters; else absent tc "no program tc"; fi
    if grep -qE '^(TCP|UDP|SCTP|FWM)' /proc/net/ip_vs 2>/dev/null; then section ipvs cat /proc/net/ip_vs; fi
}

# tc_filters: print the filters of each device that has an ingress or clsact queueing discipline
tc_filters() {
    tc qdisc show | awk '$2 == "ingress" || $2 == "clsact" { print $5 }' | while read -r device; do
        for direction in ingress egress; do
            tc filter show dev "$device" "$direction" 2>/dev/null | sed "s/^/$device $direction: /"
        done
    done
}

# listeners PROCESS: print the sockets of its network namespace that wait for connections and datagrams
listeners() {
    if have ss && [ "$1" = self ]; then
        ss -Hlntup
    else
        for protocol in tcp tcp6 udp udp6; do sed "s/^/$protocol/" "/proc/$1/net/$protocol" 2>/dev/null; done
    fi
}

# engine PROGRAM: print sections of what docker or podman says, as far as it concerns packets
engine() {
    if have timeout; then patient="timeout 60"; else patient=; fi
    # shellcheck disable=SC2086 # nothing, or a program and its argument
    if ! have "$1"; then
        absent "$1" "no program $1"
    elif ! $patient "$1" ps -q >/dev/null 2>&1; then
        section "$1" $patient "$1" ps -q
    else
        section "$1" "about_$1"
        section "$1-networks" "networks_of_$1"
        section "$1-containers" containers "$1"
    fi
}

about_podman() { podman info --format '{"Version":{{json .Version.Version}},"Network":{{json .Host.NetworkBackend}}}'; }

about_docker() {
    docker info --format '{"Version":{{json .ServerVersion}},"Swarm":{{json .Swarm.LocalNodeState}},
"Security":{{json .SecurityOptions}}}'
    docker info --format '{"Firewall":{{json .FirewallBackend}}}' 2>/dev/null || true
}

networks_of_podman() { podman network ls -q | xargs -r podman network inspect; }

networks_of_docker() {
    docker network ls -q --no-trunc | xargs -r docker network inspect --format '{"Id":{{json .Id}},
"Name":{{json .Name}},"Created":{{json .Created}},"Driver":{{json .Driver}},"Internal":{{json .Internal}},
"EnableIPv6":{{json .EnableIPv6}},"IPAM":{{json .IPAM.Config}},"Options":{{json .Options}}}'
}

containers() {
    "$1" ps -aq --no-trunc | xargs -r "$1" container inspect --format '{"Id":{{json .Id}},"Name":{{json .Name}},
"State":{{json .State.Status}},"Pid":{{json .State.Pid}},"Started":{{json .State.StartedAt}},
"Mode":{{json .HostConfig.NetworkMode}},"Bindings":{{json .HostConfig.PortBindings}},
"Ports":{{json .NetworkSettings.Ports}},"Networks":{{json .NetworkSettings.Networks}},
"Project":{{json (index .Config.Labels "com.docker.compose.project")}},
"Service":{{json (index .Config.Labels "com.docker.compose.service")}}}'
}

# processes: print the process of each running container
processes() {
    for program in docker podman; do
        have $program || continue
        $program ps -q --no-trunc | xargs -r $program container inspect --format '{{.State.Pid}}'
    done 2>/dev/null
}

# namespaces PROCESS...: print the network namespace of the host, and those of these processes
namespaces() {
    echo "host $(readlink /proc/self/ns/net)"
    for process; do echo "$process $(readlink "/proc/$process/ns/net")"; done
}

# INSIDE: what a shell in a container's network namespace does: sections of addresses, routes, rules and listeners
# shellcheck disable=SC2016 # that shell expands it
INSIDE='
look() {
    section=inside-$process-$1
    shift
    echo "== $section"
    if printed=$(ip -j "$@" 2>/dev/null); then
        printf " %s\n== end $section: ok\n" "$printed"
    elif printed=$(ip "$@" 2>&1 | sed "s/^/ /"); then
        printf "%s\n== end $section: ok\n" "$printed"
    fi
}
look addresses addr show
for version in 4 6; do
    look routes$version -$version route show table all
    look rules$version -$version rule show
done
command -v ss >/dev/null || exit 0
echo "== inside-$process-listeners"
ss -Hlntu | sed "s/^/ /"
echo "== end inside-$process-listeners: ok"
'

# insides PROCESS...: print the network of each namespace of processes that is not the host's, once
insides() {
    namespaces "$@" | awk '!seen[$2]++ && $1 != "host" && $1 && $2 { print $1 }' | while read -r process; do
        if have nsenter; then nsenter -t "$process" -n env process="$process" sh -c "$INSIDE"; fi
        if ! have nsenter || ! have ss; then section "inside-$process-listeners" listeners "$process"; fi
    done | tr '\001-\010\013-\037\177' '?' | objects
}

state() {
    section addresses json ip -d addr show
    for version in 4 6; do
        section routes$version json ip -$version route show table all
        section rules$version json ip -$version rule show
    done
    section neighbours json ip neigh show nud permanent
    if have bridge; then
        section bridge-ports json bridge -d link show
        section bridge-vlans json bridge vlan show
    else
        absent bridge-ports "no program bridge"
    fi
    section sysctls sysctls
    for backend in nft legacy; do rules iptables $backend && rules ip6tables $backend; done
    in_kernel nft nft nf_tables not_owned
    in_kernel nft-json nft nf_tables not_owned -j
    in_kernel ipset ipset ip_set ipset save
    other_filters
    section listeners listeners self
    section conntrack cat /proc/sys/net/netfilter/nf_conntrack_count
    engine docker
    engine podman
    containers_of=$(processes)
    # shellcheck disable=SC2086 # numbers with spaces between
    section namespaces namespaces $containers_of
    # shellcheck disable=SC2086
    insides $containers_of
}

# steady: remove what changes all the time: counters, dates, lifetimes, timers of bridges, the number of connections
steady() {
    sed -E -e 's/\[[0-9]+:[0-9]+\]//' -e 's/^ # .*//' -e 's/packets [0-9]+ bytes [0-9]+//g' -e 's/^ [0-9]+$//' \
        -e 's/"(packets|bytes|valid_life_time|preferred_life_time|expires|[a-z_]+_timer)": *[0-9.]+//g' \
        -e 's/ (expires|timeout|valid_lft|preferred_lft) [0-9a-z]+//g' -e 's/[a-z_]+_timer +[0-9.]+//g' \
        -e 's/"tentative":true,//' -e 's/nf_conntrack_count = [0-9]+//' -e 's/(LISTEN|UNCONN) +[0-9]+ +[0-9]+//'
}

# changed: print the names of the sections that are not the same in both captures
changed() {
    { printf '%s\n' "$first" && echo "== again" && printf '%s\n' "$second"; } | steady | awk '
        /^== again$/ { again = 1 }
        /^== end / { next }
        /^== / { section = $2; next }
        { seen[section, $0] += again ? -1 : 1; of[section, $0] = section }
        END { for (key in seen) if (seen[key]) found[of[key]]; for (section in found) print section }' | sort
}

if [ "$(id -u)" != 0 ]; then
    echo "capture: this needs root, to read rules and the networks of containers." >&2
    exit 2
fi
echo "docker-host-testbed capture, format 1"
section versions versions
first=$(state)
second=$(state)
printf '%s\n' "$first"
section changed changed
echo "== end of capture"
