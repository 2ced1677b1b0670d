#!/usr/bin/env bash
# How RL learns, arm by arm, on dev people. Finished stages are kept: the same command goes on where it stopped.
#   bash experiments/rl_curves/run.sh STUDY [FOLDER] [OVERRIDE...]
#   STUDY: arms, losses, weights, or all; FOLDER: where runs go (runs/rl_curves)
#   EXPERIMENT=lab  the preset; SEEDS="0 1 2"  worlds of `arms`, the first of which has the other two studies
set -euo pipefail
cd "$(dirname "$0")/../.."
study=${1:?arms, losses, weights or all}
folder=${2:-runs/rl_curves}
overrides=("${@:3}")
read -r -a seeds <<< "${SEEDS:-0 1 2}"

rl() { # OVERRIDE...: dev people alone, and the policies alone; test people are for tables of claims
  tagpr "$@" "experiment=${EXPERIMENT:-lab}" experiment_name=rl_curves "paths.runs=$folder" \
    'evaluation.people={splits: [dev], max_records: 960}' '~evaluation.rows.base' '~evaluation.rows.base_think' \
    '~evaluation.rows.base_bm25' '~evaluation.compare.direct_answer' '~evaluation.decodings.sample' \
    rl.dev_records=160 "${overrides[@]}"
}

arms() {
  for seed in "${seeds[@]}"; do
    rl "seed=$seed"
    rl "seed=$seed" run_name=exploratory_only rl=exploratory_only
    for ablation in single_stage no_tag_reward no_prmu rejection_sampling; do rl "seed=$seed" "ablation=$ablation"; done
  done
}

losses() { rl -m "seed=${seeds[0]}" sweep=policy_losses; }

weights() { rl -m "seed=${seeds[0]}" sweep=beta_gamma; }

case $study in
  arms) arms ;;
  losses) losses ;;
  weights) weights ;;
  all) arms; losses; weights ;;
  *) echo "$study is no study: arms, losses, weights or all" >&2; exit 2 ;;
esac
