#!/usr/bin/env bash
# Builds the images and pushes them to their registries. See `make help`, and runbooks/02-publish-the-images.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

images/scripts/build.sh
target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
for name in db-migration s3-migration; do
    "$target/release/publish-images" push "${IMAGES_DIRECTORY:-$target/images}/$name.tar"
done
