#!/usr/bin/env bash
# RL's optimizer dials, on dev people of worlds that no table reports. Finished stages are kept: the same command goes on
# where it stopped.
#   bash experiments/rl_dials/run.sh [FOLDER] [OVERRIDE...]
#   FOLDER: where runs go (runs/rl_dials);  SEEDS="100 101 102"  worlds
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-runs/rl_dials}
overrides=("${@:2}")
read -r -a seeds <<< "${SEEDS:-100 101 102}"

trial() { # NAME OVERRIDE...: all dev questions, and the policies alone
  for seed in "${seeds[@]}"; do
    tagpr experiment=demo experiment_name=rl_dials "run_name=$1" "seed=$seed" "paths.runs=$folder" \
      'evaluation.people={splits: [dev], max_records: null}' '~evaluation.rows.base' '~evaluation.rows.base_think' \
      '~evaluation.rows.base_bm25' '~evaluation.compare.direct_answer' rl.prompts_per_window=8 rl.steps=40 \
      "${@:2}" "${overrides[@]}"
  done
}

rate=rl.optimizer.create.learning_rate
trial rate_4e-4 "$rate=4e-4"
trial rate_2e-4 "$rate=2e-4"
trial rate_1e-4 "$rate=1e-4"
trial window_32 "$rate=4e-4" rl.prompts_per_window=32 rl.steps=10
