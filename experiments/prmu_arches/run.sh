#!/usr/bin/env bash
# PRMU's architectures, and what its parts buy. Finished stages are kept: the same command goes on where it stopped.
#   bash experiments/prmu_arches/run.sh STUDY [FOLDER] [OVERRIDE...]
#   STUDY: arches, parts, or all; FOLDER: where runs go, one setting each (runs/prmu_arches)
#   EXPERIMENT=lab  the preset; SEEDS="0 1 2 3 4"  worlds: every architecture in the first, every part in the first three
set -euo pipefail
cd "$(dirname "$0")/../.."
study=${1:?arches, parts or all}
folder=${2:-runs/prmu_arches}
overrides=("${@:3}")
read -r -a seeds <<< "${SEEDS:-0 1 2 3 4}"
types=(N1 N1_label N2 N3 N4 N5 N6)

prmu() { # OVERRIDE...
  tagpr "$@" "experiment=${EXPERIMENT:-lab}" experiment_name=prmu_arches until=prmu "paths.runs=$folder" \
    "${overrides[@]}"
}

arches() {
  prmu -m sweep=prmu_arches "seed=${seeds[0]}"
  for seed in "${seeds[@]:1}"; do
    prmu -m prmu/arch=bilinear,agnostic,history_text,similarity run_name=replicate "seed=$seed"
  done
}

parts() { # one left out at a time; the whole mix is the one of `arches`. Three worlds: with one, picks told a false story
  for seed in "${seeds[@]:0:3}"; do
    prmu run_name=prmu_whole "seed=$seed"
    for type in "${types[@]}"; do
      prmu "run_name=prmu_no_$type" "pairs.mix.$type=0" "seed=$seed"
    done
    prmu run_name=prmu_no_contrast prmu.objective.contrast_weight=0 "seed=$seed"
  done
}

case $study in
  arches) arches ;;
  parts) parts ;;
  all) arches; parts ;;
  *) echo "$study is no study: arches, parts or all" >&2; exit 2 ;;
esac
