#!/usr/bin/env bash
# Sees to the programs that tests and demo run and that no Python package brings: ffmpeg, a Redis server, and
# the browser in which clips are played.
set -euo pipefail

missing=()
for pair in ffmpeg:ffmpeg ffprobe:ffmpeg redis-server:redis-server openssl:openssl; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
# Any of them will do. Where none can be had, the tests that play clips are skipped and say so.
optional=()
command -v chromium chromium-browser google-chrome >/dev/null || optional=(chromium)
# The same: the tests on real file systems say what they miss.
command -v mkfs.xfs >/dev/null || optional+=(xfsprogs)
# The catalogue's tests on Postgres too. Debian keeps its programs off the PATH.
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || optional+=(postgresql)
# Looks at the script of the kind path, which cannot run here.
command -v shellcheck >/dev/null || optional+=(shellcheck)
# Media reach livekit-server in its namespace through a link.
command -v ip >/dev/null || optional+=(iproute2)
# promtool checks the alerts, and a Prometheus scrapes a whole stack.
command -v promtool >/dev/null || optional+=(prometheus)
if [ ${#missing[@]} -eq 0 ]; then
  [ ${#optional[@]} -gt 0 ] && apt-cache show "${optional[@]}" >/dev/null 2>&1 || exit 0
fi
if [ ${#missing[@]} -gt 0 ]; then mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u); fi

install() {
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
if command -v apt-get >/dev/null && [ "${as_root[*]:-}" != false ]; then
  echo "setup: installing" "${missing[@]}" "${optional[@]}" "with apt-get (up to a minute)"
  "${as_root[@]}" apt-get update -qq
  if [ ${#missing[@]} -gt 0 ]; then install "${missing[@]}"; fi
  if [ ${#optional[@]} -gt 0 ]; then
    # One by one: what cannot be had must not keep the other out.
    for package in "${optional[@]}"; do
      install "$package" || echo "setup: no $package to be had: the tests that need it are skipped and say so"
    done
  fi
elif [ ${#missing[@]} -gt 0 ]; then
  echo "setup: please install ${missing[*]} with your system's package manager, then try again" >&2
  exit 1
fi
