#!/usr/bin/env bash
# LaMP's seven public tasks in both forms, each through every stage; about 20 s a run on one core.
#   bash experiments/lamp_forms/run.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-runs/lamp_forms}
python "$here/../../tests/fixtures/make_lamp_mini.py" "$folder/files" --forms
for form in user time; do
  tagpr -m experiment=lamp_smoke run_name=$form paths.runs="$folder" data.root="$folder/files/$form" logger=none \
    'data.tasks=[LaMP_1],[LaMP_2],[LaMP_2N],[LaMP_3],[LaMP_4],[LaMP_5],[LaMP_7]'
done
python "$here/table.py" "$folder" | tee "$folder/table.md"
