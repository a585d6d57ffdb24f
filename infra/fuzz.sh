#!/usr/bin/env bash
# Runs each fuzz target by turns and adds up what they did:
#
#	infra/fuzz.sh TIME CORPUS	TIME each, as go test takes it; from the inputs in CORPUS on
#
# Inputs that reach new code are kept in CORPUS, and begun with the next time. A
# few tries alone go into making each smaller: by default a minute does, which
# for a large seed was all the time there was. Each run adds its lines to
# docs/fuzzing.tsv, and the table in docs/security-tests.md is their sum. It ends
# with 1 where a target failed; go test has written the input to testdata/fuzz.
set -euo pipefail

time=$1
corpus=$2
ledger=docs/fuzzing.tsv
page=docs/security-tests.md
failed=0

log=$(mktemp)
trap 'rm -f "$log" "$page.new"' EXIT

while read -r folder name; do
	echo "$folder $name"
	began=$SECONDS
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 20x "./$folder" \
		-args -test.fuzzcachedir="$corpus/$folder" </dev/null 2>&1 | tee "$log" || failed=1
	executions=$(grep -o 'execs: [0-9]*' "$log" | tail -n 1 | tr -cd 0-9) || continue
	printf '%s\t%s\t%s\t%s\t%s\n' "$(date -u +%F)" "$folder" "$name" "$executions" "$((SECONDS - began))" >>"$ledger"
done < <(grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|^\./\(.*\)/[^/]*:func |\1 |' | LC_ALL=C sort)

awk -F '\t' -v page="$page" '
	NR == 1 { next } # names of the columns
	{
		target = "`" $2 "` " $3
		if (!(target in runs)) { order[++n] = target }
		runs[target]++
		executions[target] += $4
		seconds[target] += $5
		all += $4
		whole += $5
		if (first == "") { first = $1 }
		last = $1
	}
	function grouped(v, out) {
		for (out = ""; v >= 1000; v = int(v / 1000)) { out = sprintf(",%03d%s", v % 1000, out) }
		return v out
	}
	END {
		table = "| target | executions | minutes |\n|---|---|---|\n"
		for (i = 1; i <= n; i++) {
			table = table "| " order[i] " | " grouped(executions[order[i]]) " | " sprintf("%.0f", seconds[order[i]] / 60) " |\n"
		}
		table = table "| all | " grouped(all) " | " sprintf("%.0f", whole / 60) " |\n"
		if (first != last) { first = first " to " last }
		table = table "\n" first ".\n"
		while ((getline line < page) > 0) {
			if (line == "<!-- fuzzing: begin -->") { print line; printf "%s", table; skip = 1 }
			if (line == "<!-- fuzzing: end -->") { skip = 0 }
			if (!skip) { print line }
		}
	}' "$ledger" >"$page.new"
mv "$page.new" "$page"
exit $failed
