#!/usr/bin/env bash
# Sees to the programs that tests and demo run and that no Python package brings: ffmpeg and a Redis server.
set -euo pipefail

missing=()
for pair in ffmpeg:ffmpeg ffprobe:ffmpeg redis-server:redis-server openssl:openssl; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then as_root=(sudo -n); else as_root=(false); fi
fi
if command -v apt-get >/dev/null && [ "${as_root[*]:-}" != false ]; then
  echo "setup: installing ${missing[*]} with apt-get (up to a minute)"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "setup: please install ${missing[*]} with your system's package manager, then try again" >&2
  exit 1
fi
