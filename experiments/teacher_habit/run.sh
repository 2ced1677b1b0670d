#!/usr/bin/env bash
# Three runs of the demo; they share the world, the base's rows and whatever else their settings agree on.
set -euo pipefail
tagpr -m experiment=demo sweep=teacher_habit
tagpr-table runs/demo --out runs/demo/teacher_habit
