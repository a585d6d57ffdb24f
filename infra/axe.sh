#!/usr/bin/env bash
# Puts axe-core, which tests the page's accessibility, into the cache and prints
# its path.
#
# The package is fetched by name and version and checked by hash before anything
# of it is used. It is not installed; the one file that is kept runs in the
# browser of the tests alone, and is part of nothing that is served.
set -euo pipefail

version=4.14.1
package=axe-core@$version
package_sha=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
script_sha=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

folder=${XDG_CACHE_HOME:-$HOME/.cache}/agequote/axe/$version
script=$folder/axe.min.js

sha256() {
	if command -v sha256sum >/dev/null; then
		sha256sum "$1"
	else
		shasum -a 256 "$1"
	fi | cut -d ' ' -f 1
}

sound() {
	[ -f "$1" ] && [ "$(sha256 "$1")" = "$script_sha" ]
}

if sound "$script"; then
	echo "$script"
	exit 0
fi

mkdir -p "$folder"
scratch=$(mktemp -d "$folder/fetch.XXXXXX") # on the cache's own disk, so that the last step is a rename
trap 'rm -rf "$scratch"' EXIT

fetch() {
	local archive=$scratch/axe-core-$version.tgz
	command -v npm >/dev/null || { echo "there is no npm"; return 1; }
	npm pack --ignore-scripts --pack-destination "$scratch" "$package" || return 1
	[ "$(sha256 "$archive")" = "$package_sha" ] || { echo "the package is not the one that was expected, by its SHA-256"; return 1; }
	tar -xzf "$archive" -C "$scratch" package/axe.min.js || return 1
	sound "$scratch/package/axe.min.js" || { echo "the script is not the one that was expected, by its SHA-256"; return 1; }
	mv -f "$scratch/package/axe.min.js" "$script"
}

log=$folder/fetch.log
if fetch >"$log" 2>&1; then
	rm -f "$log"
	echo "$script"
	exit 0
fi
echo "axe: cannot fetch $package: install npm, and see that it reaches its package registry (its words are in $log)" >&2
exit 1
