#!/usr/bin/env bash
# A Ray cluster that only who has the token can use, and a fill on its GPUs. Not tried on several machines.
#
# On the first machine, in the working folder:   examples/clusters/local_cluster.sh head balance fill --target 5000
# On each other machine:                         examples/clusters/local_cluster.sh join HEAD_ADDRESS:6379
#
# The token lies in ~/.ray/auth_token; copy it to the other machines by hand.
set -euo pipefail

export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0

case "${1:-}" in
head)
    shift
    ray get-auth-token --generate >/dev/null
    ray start --head --port=6379 --node-ip-address="${HEAD_ADDRESS:-127.0.0.1}" --include-dashboard=false
    trap 'ray stop' EXIT
    RAY_ADDRESS="${HEAD_ADDRESS:-127.0.0.1}:6379" "$@" --engine ray
    ;;
join)
    ray start --address="$2" --block
    ;;
*)
    echo "usage: $0 head COMMAND... | join ADDRESS" >&2
    exit 2
    ;;
esac
