# shellcheck shell=bash
# shellcheck disable=SC2154 # archive: set by archive.sh; binary, commit, epoch, output, updates, version, work: by scripts/package
# A container image from Debian packages, as an OCI layout, without a daemon and without root. Needs packages.sh and
# archive.sh. Sourced, never run.

image_suite=bookworm
# What vmm-run starts or loads; all that these need comes with them.
image_packages=(ovmf passt swtpm)

# get_image_packages: sets `image_archive`, the directory in the rig's cache with their .deb files.
get_image_packages() {
  local cache
  fill_rig_cache fetch_image_packages || return 1
  image_archive=$cache/image-packages
}

# fetch_image_packages CACHE: fills CACHE/image-packages, unless it is there and nothing newer is wanted. Whoever
# calls it holds the lock of the cache.
fetch_image_packages() {
  local archive new
  if [[ -e $1/image-packages ]] && ! $updates; then
    return 0
  fi
  open_archive "$1/archive-image" "$image_suite" "$image_suite-security" "$image_suite-updates" || return 1
  update_archive || return 1
  clear_downloads
  quietly apt-get -c "$archive/apt.conf" --download-only install "${image_packages[@]}" || return 1
  new=$(mktemp -d "$1/fetch.XXXXXX") || return 1
  mv "$archive"/cache/archives/*.deb "$new/" && rm -rf "$1/image-packages" && mv "$new" "$1/image-packages"
}

# make_packages_tree DIRECTORY: what the packages have that a program needs, and their copyrights.
make_packages_tree() {
  local package name
  mkdir -p "$1"/{dev,etc,proc,run,sys,tmp,var/lib/dpkg/status.d,var/lib/vmm-run}
  for package in "$image_archive"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1" --no-same-owner --exclude='./usr/share/doc/*/[!c]*' \
      --exclude='./usr/share/doc/*/changelog*' --exclude=./usr/share/{info,lintian,locale,man} || return 1
    # Where scanners of images look for what is installed.
    name=$(dpkg-deb --field "$package" Package)
    dpkg-deb --field "$package" >"$1/var/lib/dpkg/status.d/$name"
  done
  chmod 1777 "$1/tmp"
  printf 'root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' \
    >"$1/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$1/etc/nsswitch.conf"
  printf 'PRETTY_NAME="Debian GNU/Linux 12 (%s)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION_CODENAME=%s\nID=debian\n' \
    "$image_suite" "$image_suite" >"$1/etc/os-release"
}

# make_program_tree DIRECTORY: as the Debian package has it.
make_program_tree() {
  install -d -m 755 "$1/usr/bin" "$1/usr/share/doc/vmm-run"
  strip --strip-all --remove-section=.comment --remove-section=.note -o "$1/usr/bin/vmm-run" "$binary" || return 1
  chmod 755 "$1/usr/bin/vmm-run"
  install -m 644 packaging/debian/copyright "$1/usr/share/doc/vmm-run/copyright"
}

# add_blob TYPE: standard input becomes a blob of the layout; prints its descriptor.
add_blob() {
  local digest
  cat >"$work/blob"
  digest=$(sha256sum <"$work/blob" | cut -d ' ' -f 1)
  jq -cn --arg type "$1" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$work/blob")" \
    '{mediaType: $type, digest: $digest, size: $size}'
  mv "$work/blob" "$layout/blobs/sha256/$digest"
}

# add_layer TREE: adds to the arrays `layers` and `diffs`, a layer's descriptor and the digest of its tar file.
add_layer() {
  tar -c -C "$1" --sort=name --format=gnu --mtime="@$epoch" --owner=0 --group=0 --numeric-owner . >"$work/layer.tar" ||
    return 1
  diffs+=("\"sha256:$(sha256sum <"$work/layer.tar" | cut -d ' ' -f 1)\"")
  layers+=("$(gzip -6n <"$work/layer.tar" | add_blob application/vnd.oci.image.layer.v1.tar+gzip)") || return 1
  rm "$work/layer.tar"
}

# make_image: the directory oci/ and the file vmm-run-oci.tar.
make_image() {
  local layout=$work/oci created config manifest
  local -a layers=() diffs=()
  get_image_packages || return 1
  mkdir -p "$layout/blobs/sha256"
  make_packages_tree "$work/packages" || return 1
  make_program_tree "$work/program" || return 1
  # Two layers: the packages change less often.
  add_layer "$work/packages" || return 1
  add_layer "$work/program" || return 1
  created=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)
  config=$(jq -cn --arg created "$created" --arg version "$version" --arg commit "$commit" \
    --argjson diffs "[$(IFS=,; printf '%s' "${diffs[*]}")]" '
    {
      created: $created, architecture: "amd64", os: "linux",
      config: {
        Entrypoint: ["/usr/bin/vmm-run"], Cmd: ["--help"], Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        WorkingDir: "/var/lib/vmm-run",
        Labels: {
          "org.opencontainers.image.title": "vmm-run", "org.opencontainers.image.version": $version,
          "org.opencontainers.image.revision": $commit, "org.opencontainers.image.created": $created
        }
      },
      rootfs: {type: "layers", diff_ids: $diffs},
      history: [
        {created: $created, created_by: "Debian packages: ovmf, passt, swtpm"},
        {created: $created, created_by: "vmm-run"}
      ]
    }' | add_blob application/vnd.oci.image.config.v1+json) || return 1
  manifest=$(jq -cn --argjson config "$config" --argjson layers "[$(IFS=,; printf '%s' "${layers[*]}")]" '
    {
      schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: $layers
    }' | add_blob application/vnd.oci.image.manifest.v1+json) || return 1
  # One name: `podman load` asks which where there are two.
  jq -n --argjson manifest "$manifest" '
    {
      schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [$manifest + {
        platform: {architecture: "amd64", os: "linux"}, annotations: {"org.opencontainers.image.ref.name": "latest"}
      }]
    }' >"$layout/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}\n' >"$layout/oci-layout"
  rm -rf "$output/oci" && mv "$layout" "$output/oci" || return 1
  tar -c -C "$output/oci" --sort=name --format=gnu --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX -f "$output/vmm-run-oci.tar" blobs index.json oci-layout
}
