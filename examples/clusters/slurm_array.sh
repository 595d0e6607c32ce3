#!/usr/bin/env bash
# Shards of a fill as a Slurm array, and a job that collects them. Not tried on a Slurm cluster.
#
# In the working folder, on a disk that all nodes share:   examples/clusters/slurm_array.sh --target 5000
# The options are those of `balance fill`; they must be the same for every shard.
set -euo pipefail

SHARDS="${SHARDS:-8}"
FOLDER="${FOLDER:-shards}"
OPTIONS="$(printf '%q ' "$@")"

array=$(sbatch --parsable --array="1-$SHARDS" --gpus=1 --cpus-per-task=4 --mem=32G --time=12:00:00 \
    --wrap "balance fill $OPTIONS --shard \$SLURM_ARRAY_TASK_ID/$SHARDS --shard-dir $FOLDER")
sbatch --dependency="afterok:$array" --cpus-per-task=4 --mem=32G --time=4:00:00 \
    --wrap "balance fill $OPTIONS --collect $FOLDER"
echo "Shards are job $array. Where the screen rejects images, run this again: it makes what is still missing."
