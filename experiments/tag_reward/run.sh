#!/usr/bin/env bash
# A policy trained on the tag reward alone, three seeds of the demo's world; then the tables of README.md.
#   bash experiments/tag_reward/run.sh [FOLDER] [OVERRIDE...]
#   SEEDS="0 1 2"  worlds and trainings; FOLDER: where runs go (runs)
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-runs}
overrides=("${@:2}")
for seed in ${SEEDS:-0 1 2}; do
  tagpr experiment=demo run_name=tag_reward_only "seed=$seed" "paths.runs=$folder" until=rl_single trainer.threads=1 \
    rl=single_stage reward/term@reward.terms.prmu=none rl.stages.single.weights.task=0 rl.stages.single.weights.prmu=0 \
    rl.steps=60 rl.dev_every=20 rl.optimizer.create.learning_rate=1.2e-3 "${overrides[@]}"
done
python -m experiments.tag_reward.table "$folder"/cache/rl_single/[0-9a-f]*
for records in "$folder"/cache/records/[0-9a-f]*; do python -m experiments.tag_reward.probes "$records"; done
