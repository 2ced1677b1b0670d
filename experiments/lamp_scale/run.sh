#!/usr/bin/env bash
# Time and peak memory of the records stage on LaMP-3-shaped files of 40 and 400 MB (440 MB of disk under $1).
set -euo pipefail
place=${1:?where to put the files}
for megabytes in 40 400; do
    root="$place/lamp_3_$megabytes"
    [ -d "$root" ] || python "$(dirname "$0")/make_lamp_3.py" --megabytes "$megabytes" --root "$root"
    python "$(dirname "$0")/measure.py" "$root"
done
