#!/usr/bin/env bash
# The board of a track on a GPU, in pieces of under ten minutes each. Every piece can be repeated; what is finished is kept.
#
#   scripts/gpu_board.sh tests      every CUDA path equals its CPU path (CARRIED=DIR: against arrays made elsewhere, tests/carried.py)
#   scripts/gpu_board.sh floors     floor, measured and ratio of every hot path, into docs/performance.md
#   scripts/gpu_board.sh speed      each domain's reference simulator, alone and in batches
#   scripts/gpu_board.sh tune       batch size and learning rate of every learned model by trials; stops after UNTIL seconds: repeat
#                                   until it is finished. `run` and `board` train with what it found, where it was run before them
#   scripts/gpu_board.sh run        data, trainings, scores, probes, films; stops after UNTIL seconds: repeat until it is finished
#   scripts/gpu_board.sh board      the same with timings, then record, board and report: repeat until it is finished
#   scripts/gpu_board.sh pack DIR   what another machine needs to go on, in files of at most 15 MiB; data are made again there
#   scripts/gpu_board.sh unpack DIR
#
# DEVICE=cpu rehearses every line of it in minutes, with tiny scenes and networks, for no board.
# Others: TRACK (gpu-3min), RUN (the folder of the run), UNTIL (300 s), PYTHON, DOMAINS (of speed and tune), MODELS (of tune; all by
# default), TRIAL (seconds of one trial of tune; a tenth of a training by default), MORE (further arguments of run).
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}" OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"

DEVICE="${DEVICE:-cuda}" TRACK="${TRACK:-gpu-3min}" UNTIL="${UNTIL:-300}" PYTHON="${PYTHON:-python}"
RUN="${RUN:-runs/$TRACK}"
TUNING="$RUN/tuning"
read -r -a MORE <<<"${MORE:-}"
PAGE="${PAGE:-docs/performance.md}"
if [ "$DEVICE" = cpu ]; then
  FLOORS=(--quick --only windows --only neighbours) TIMED_AS=smoke
else
  FLOORS=() TIMED_AS="$TRACK"
fi

hedgefox() { "$PYTHON" -m hedgefox "$@"; }

run() {
  local chosen=()
  [ ! -e "$TUNING/tuned.json" ] || chosen=(--tuned "$TUNING")
  hedgefox run --track "$TRACK" --out "$RUN" --device "$DEVICE" --until "$UNTIL" "${chosen[@]}" "${MORE[@]}" "$@"
}

# Data go where the run will look for them. The trials' logs and tuned.json are small, and travel with the run.
tune() {
  local on=()
  if [ -e "$RUN/weights" ]; then
    echo "$RUN holds trainings already, with the settings that they began with; tune in another RUN" >&2
    exit 2
  fi
  for domain in ${DOMAINS:-fluid cloth rigid}; do on+=(--domain "$domain"); done
  # shellcheck disable=SC2086
  hedgefox tune ${MODELS:-} ${TRIAL:+--seconds "$TRIAL"} --track "$TRACK" --data "$RUN/data" --out "$TUNING" --device "$DEVICE" --until "$UNTIL" "${on[@]}"
}

# A saved model needs no checkpoint any more; films and data are made again.
packed() {
  local skip=(--exclude=./data --exclude=./films --exclude=./report)
  while IFS= read -r done_one; do
    skip+=("--exclude=${done_one%/model.json}/*checkpoint*")
  done < <(cd "$RUN" && find . -name model.json)
  tar -C "$RUN" "${skip[@]}" -cf - .
}

case "${1:-}" in
  tests) CARRIED="${CARRIED:-}" "$PYTHON" -m pytest tests/test_cuda.py tests/test_cloth.py tests/test_timing.py tests/test_energy.py -m gpu --timeout 540 ;;
  floors) hedgefox floors --device "$DEVICE" "${FLOORS[@]}" --into "$PAGE" ;;
  speed)
    for domain in ${DOMAINS:-fluid cloth rigid}; do
      [ -e "$RUN-speed-$domain/record.json" ] || hedgefox speed reference --domain "$domain" --track "$TIMED_AS" --device "$DEVICE" --out "$RUN-speed-$domain"
    done ;;
  tune) tune ;;
  run) run --no-speed ;;
  board) run ;;
  pack)
    mkdir -p "${2:?pack needs a folder}"
    rm -f "$2"/run.part-*
    packed | gzip -1 | split -b 15m - "$2/run.part-" ;;
  unpack)
    mkdir -p "$RUN"
    cat "${2:?unpack needs a folder}"/run.part-* | tar -C "$RUN" -xzf - ;;
  *) sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
