#!/bin/sh
# Runs a Docker daemon of its own in a folder until standard input ends or it gets a signal; then nothing of
# it stays behind. A shell that outlives the test does this, so that it also happens when the test is killed.
#
#   keep_docker_engine.sh FOLDER NAME NETWORK
#
# FOLDER is there and empty, and goes at the end; NAME names the bridge and the control group; NETWORK is
# the first two numbers of the addresses that may be used, such as 10.150.
set -u
folder=$1 name=$2 network=$3

clean_up() {
  # Bridges of networks that nobody has removed: they have addresses of ours.
  ip -o -4 address show | awk -v network="$network." 'index($4, network) == 1 { print $2 }' |
    while read -r bridge; do ip link delete "$bridge"; done
  awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r |
    while read -r mount; do umount --lazy "$mount"; done
  find /sys/fs/cgroup -depth -path "/sys/fs/cgroup*/$name*" -type d -exec rmdir {} + 2>/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT

ip link add "$name" type bridge && ip address add "$network.0.1/24" dev "$name" &&
  ip link set "$name" up || exit 1

# The machine's firewall and routing stay as they are: containers reach each other and the machine, ports
# are published by Docker's own proxy, and only the network "host" goes further. A session of its own
# keeps Ctrl-C from ending the daemon before its containers are ended.
setsid dockerd --host "unix://$folder/docker.sock" \
  --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
  --containerd-namespace "$name" --containerd-plugins-namespace "$name-plugins" \
  --bridge "$name" --default-address-pool "base=$network.128.0/17,size=24" \
  --iptables=false --ip-masq=false --ip-forward=false \
  --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$name" \
  --shutdown-timeout 5 </dev/null &
daemon=$!
trap 'kill "$daemon"' TERM INT HUP

exec 3<&0
{
  cat <&3 >/dev/null
  kill "$daemon"
} 2>/dev/null &
watcher=$!
exec 3<&-

# A signal ends the first wait early, and not the daemon.
while kill -0 "$daemon" 2>/dev/null; do wait "$daemon"; done
pkill -P "$watcher"
kill "$watcher" 2>/dev/null
exit 0
