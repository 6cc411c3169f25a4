#!/usr/bin/env bash
# Run what the inputs ask for: diff with the base revision, check of a spec, cases. The worst exit code is the step's.
# Inputs by environment: HOST ENGINE RULES SPEC CASES ALLOW BASE; TOOL is the command, OUT the folder for results.
set -uo pipefail
mkdir -p "$OUT/sarif"
[ -n "${GITHUB_OUTPUT:-}" ] && echo "sarif=$OUT/sarif" >>"$GITHUB_OUTPUT"
worst=0
on=()
[ -n "${HOST:-}" ] && on+=(--host "$HOST")
engine=()
[ -n "${ENGINE:-}" ] && engine+=(--engine "$ENGINE")

# 1 (a finding) outweighs 3 (not judged); 2 (could not run) outweighs both.
weigh() {
    case "$1" in
        0) ;;
        3) [ "$worst" = 0 ] && worst=3 ;;
        1) [ "$worst" != 2 ] && worst=1 ;;
        *) worst=2 ;;
    esac
}

if [ -n "${RULES:-}" ]; then
    if git show "$BASE:$RULES" >"$OUT/old.rules" 2>/dev/null; then
        allow=()
        [ -n "${ALLOW:-}" ] && allow=(--allow "$ALLOW")
        $TOOL diff "$OUT/old.rules" "$RULES" "${on[@]}" "${allow[@]}" --annotations --markdown "$OUT/diff.md" --sarif "$OUT/sarif/diff.sarif"
        weigh $?
    else
        echo "::notice::$RULES is not in the base revision $BASE, so there is nothing to compare it with."
    fi
fi
if [ -n "${SPEC:-}" ]; then
    rules=()
    [ -n "${RULES:-}" ] && rules=(--rules "$RULES")
    $TOOL check "$SPEC" "${on[@]}" "${engine[@]}" "${rules[@]}" --markdown "$OUT/check.md"
    weigh $?
fi
if [ -n "${CASES:-}" ]; then
    rules=()
    [ -n "${RULES:-}" ] && rules=(--rules "$RULES")
    $TOOL test --path "$CASES" "${rules[@]}" --junit "$OUT/junit.xml"
    weigh $?
fi
for part in "$OUT"/*.md; do
    [ -e "$part" ] && cat "$part" >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
done
exit "$worst"
