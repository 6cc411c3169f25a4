#!/usr/bin/env bash
# Write the results as one comment on the pull request, and update it on later runs.
set -euo pipefail
mark="<!-- docker-host-testbed -->"
shopt -s nullglob
parts=("$OUT"/*.md)
[ ${#parts[@]} -gt 0 ] || exit 0
body=$(printf '%s\n' "$mark"; cat "${parts[@]}")
found=$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$PULL/comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
if [ -n "$found" ]; then
    gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$found" --field body="$body" --silent
else
    gh api --method POST "repos/$GITHUB_REPOSITORY/issues/$PULL/comments" --field body="$body" --silent
fi
