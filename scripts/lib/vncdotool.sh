# shellcheck shell=bash
# vncdotool of PyPI, a VNC viewer without a window, always the same. Needs packages.sh. Sourced, never run.

vncdotool=1.2.0

# install_vncdotool DIRECTORY: leaves DIRECTORY/bin/vncdo, if it is not there.
install_vncdotool() {
  require_packages python3-venv || return 1
  [[ ! -x $1/bin/vncdo ]] || return 0
  python3 -m venv "$1" && quietly "$1/bin/pip" install -q "vncdotool==$vncdotool"
}
