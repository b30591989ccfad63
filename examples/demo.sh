#!/bin/sh
# medanchor in two minutes: stamp a clinic visit, anchor it, verify it, change one byte, see it caught.
#
#     examples/demo.sh                                   medanchor is on the PATH
#     MEDANCHOR=/path/to/medanchor examples/demo.sh      or say where it is
#
# Everything happens in a temporary folder that is removed at the end: your own vault is not touched.
# The exit code is 0 only if the unchanged records verified and the changed one was caught.
set -eu

examples=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
medanchor=$(command -v "${MEDANCHOR:-medanchor}") || {
    echo "demo: error: no program ${MEDANCHOR:-medanchor}" >&2
    echo "demo: hint: run 'make demo', or name it: MEDANCHOR=/path/to/medanchor $0" >&2
    exit 2
}
case $medanchor in
    /*) ;;
    *) medanchor=$PWD/$medanchor ;; # the demo is about to change folder
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/medanchor-demo.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
export MEDANCHOR_VAULT="$work/vault"
cd -- "$work"

step() {
    printf '\n== %s\n' "$*"
}

# run CODES ARGUMENT...: shows the command, runs it, and stops the demo unless it exits with one of CODES ("0" or "0 3").
run() {
    expected=$1
    shift
    printf '$ medanchor %s\n' "$*"
    code=0
    "$medanchor" "$@" || code=$?
    case " $expected " in
        *" $code "*) ;;
        *)
            echo "demo: error: expected exit code $expected, found $code" >&2
            exit 1
            ;;
    esac
}

visit="visit-2026-11-21"
record=record.fhir.json
proof=proofs/$record.medproof
cp -R -- "$examples/$visit" "$visit"

step "A clinician stamps the records of a visit. (--anchor: do not wait for tonight's cron job.)"
run 0 stamp "$visit" --anchor

step "Is every record still what was stamped?"
run 0 verify "$visit"

step "A proof goes with a record to whoever has to be convinced."
run 0 proof export "$visit/$record" -o proofs
run 0 verify "$visit/$record" --proof "$proof"

step "Somebody makes a raised CRP look normal: one byte, in a copy."
mkdir copy
sed 's/"value": 5\.10/"value": 2.10/' "$visit/$record" >"copy/$record"
diff "$visit/$record" "copy/$record" || : # shown to the reader; that they differ is the point
changed=$(cmp -l "$visit/$record" "copy/$record" | wc -l)
if [ "$changed" -ne 1 ]; then
    echo "demo: error: expected 1 changed byte, found $changed" >&2
    exit 1
fi
run 4 verify "copy/$record" --proof "$proof"
echo "Caught: exit code 4."

step "The sweep an auditor runs: every signature, every tree, every anchor, every record on disk."
run 0 audit

printf '\nThe demo is over; its folder is removed. Your own records: medanchor stamp FOLDER --anchor\n'
