#!/usr/bin/env bash
# What a tiny model learns of the simulated world. Finished stages are kept: the same command goes on where it stopped.
#   bash experiments/world_learning/run.sh STUDY [FOLDER] [OVERRIDE...]
#   STUDY: users, entries, families, eight, compute, process, or all; FOLDER: where runs go (runs)
#   SEEDS="0 1 2"  worlds to draw; USERS="60 120"  smaller numbers of training people; HELD_OUT=contrarian  the family,
#   which must be the last of data.families, or test people differ from those of the run that knows it
set -euo pipefail
cd "$(dirname "$0")/../.."
study=${1:?users, entries, families, eight, compute, process or all}
folder=${2:-runs}
overrides=("${@:3}")
seeds=${SEEDS:-0}
users=${USERS:-60 120}
held_out=${HELD_OUT:-contrarian}
trained=('~evaluation.rows.base' '~evaluation.rows.base_think' '~evaluation.rows.base_bm25') # policies alone
greedy=('~evaluation.decodings.sample')

sft() { # SEED STUDY RUN_NAME [OVERRIDE...]
  tagpr experiment=world_learning "experiment_name=world_$2" "run_name=$3" "seed=$1" "paths.runs=$folder" \
    "${trained[@]}" "${overrides[@]}" "${@:4}"
}

one() { # STUDY SEED
  case $1 in
    users)
      for people in $users; do sft "$2" users "users_$people" "${greedy[@]}" "chains.train_people=$people"; done
      sft "$2" users users_all "${greedy[@]}"
      ;;
    entries)
      tagpr experiment=world_entries run_name=varied "seed=$2" "paths.runs=$folder" \
        "${trained[@]}" "${greedy[@]}" "${overrides[@]}"
      ;;
    families)
      sft "$2" families known "${greedy[@]}"
      sft "$2" families held_out "${greedy[@]}" "data.held_out_family=$held_out"
      ;;
    eight) # every family of the world, and more test people, as the rarest has 7 % of them
      sft "$2" families eight "${greedy[@]}" data.sizes.demo.test=240 \
        'data.families=[lexicographic,veto,additive,threshold,context_switch,contrarian,novelty,drifter]'
      ;;
    compute)
      sft "$2" compute tagged
      sft "$2" compute untagged ablation=untagged_chains
      sft "$2" compute direct ablation=direct_answer
      for arm in untagged direct; do
        steps=$(python -m experiments.world_learning.equal_compute "$folder" "$arm" --seed "$2")
        ablation=$([ $arm = direct ] && echo direct_answer || echo untagged_chains)
        sft "$2" compute "${arm}_equal_cpu" "ablation=$ablation" "sft.steps=$steps"
      done
      ;;
    process) tagpr experiment=demo "seed=$2" "paths.runs=$folder" "${overrides[@]}" ;;
    *) echo "$1 is no study: users, entries, families, eight, compute, process or all" >&2; exit 2 ;;
  esac
}

[ "$study" = all ] && studies="users entries families eight compute process" || studies=$study
for seed in $seeds; do
  for name in $studies; do one "$name" "$seed"; done
done
