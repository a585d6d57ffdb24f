# Reads what `go test -json` wrote and prints the last line of `make test`:
# tests, subtests among them, by how they ended. A package that fails without a
# failed test (it does not compile, say) counts as one failure.

{ test = /"Test":"/; match($0, /"Package":"[^"]*"/); package = substr($0, RSTART, RLENGTH) }

test && /"Action":"pass"/ { passed++ }
test && /"Action":"skip"/ { skipped++ }
test && /"Action":"fail"/ { failed++; told[package] = 1 }
!test && /"Action":"fail"/ && !(package in told) { failed++ }

END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }
