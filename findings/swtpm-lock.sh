#!/usr/bin/env bash
# swtpm takes the lock of its state directory when the TPM is initialised, and stopping the TPM does not give it back.
#
# What one would think: a second swtpm with the same --tpmstate directory does not start, or one that was told to stop
# (CMD_STOP of its control channel) has let go of the directory, so that another on the same files can go on with the TPM,
# as a machine that moves needs it.
# What was seen: the second one starts, and answers its control channel; only CMD_INIT fails, with TPM_FAIL (9). It goes on
# failing after CMD_STOP of the first, and works when the process of the first has ended. So a monitor finds a
# directory that is in use only at the last step, and the source of a move has to end its swtpm, not stop it, before the
# destination can initialise its own. (0.10.2 has --migration release-lock-outgoing, which the monitor has to ask for at
# the start; 0.7.1 has nothing of the kind.)
#
# Versions: swtpm 0.7.1-1.3 with libtpms 0.9.2-3.1+deb12u1 (Debian 12), and 0.10.2-2 with 0.10.2-5 (sid).
# Seen on 30 November 2026.
#
# Needs Debian 12 or later, python3, and a minute. Status 0: as described. 1: something is different. 2: could
# not be tried, for example because the archive has other versions by now.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >lock.py <<'END'
import socket, struct, subprocess, sys

INIT, SHUTDOWN, STOP, SET_DATAFD = 2, 3, 14, 16


class Emulator:
    def __init__(self):
        self.control, peer = socket.socketpair()
        self.process = subprocess.Popen(
            sys.argv[1:] + ["socket", "--tpm2", "--tpmstate", "dir=state", "--ctrl",
                            f"type=unixio,clientfd={peer.fileno()}", "--terminate"],
            pass_fds=[peer.fileno()], stderr=subprocess.DEVNULL)
        peer.close()
        self.control.settimeout(20)
        self.data, peer = socket.socketpair()
        socket.send_fds(self.control, [struct.pack(">I", SET_DATAFD)], [peer.fileno()])
        peer.close()
        self.started = struct.unpack(">I", self.control.recv(4))[0]

    def ask(self, command, body=b""):
        self.control.sendall(struct.pack(">I", command) + body)
        return struct.unpack(">I", self.control.recv(4))[0]

    def end(self):
        self.ask(SHUTDOWN)
        self.process.wait(20)


power_on = struct.pack(">I", 1)
first = Emulator()
seen = [("first: INIT", first.ask(INIT, power_on))]
second = Emulator()
seen += [("second: start", second.started), ("second: INIT", second.ask(INIT, power_on))]
seen += [("first: STOP", first.ask(STOP)), ("second: INIT", second.ask(INIT, power_on))]
first.end()
seen += [("first has ended; second: INIT", second.ask(INIT, power_on))]
second.end()
print(", ".join(f"{what} {result}" for what, result in seen))
sys.exit([result for _, result in seen] != [0, 0, 9, 0, 9, 0])
END

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
status=0
# try SUITE SWTPM LIBTPMS: with these versions, unpacked and not installed.
try() {
  local loader libraries
  rm -rf lists cache tree state ctrl data
  mkdir -p lists/partial cache/archives/partial tree state
  : >status
  echo "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian $1 main" >sources.list
  apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Debug::NoLocking=true)
  apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
  apt-get "${apt[@]}" -y --download-only install "swtpm=$2" "libtpms0=$3" "swtpm-libs=$2" >log 2>&1 ||
    { cat log && exit 2; }
  for package in cache/archives/*.deb; do dpkg-deb -x "$package" tree; done
  loader=$(find tree -name ld-linux-x86-64.so.2 -path '*/x86_64-linux-gnu/*' | head -n 1)
  libraries=$work/tree/lib/x86_64-linux-gnu:$work/tree/usr/lib/x86_64-linux-gnu
  libraries+=:$work/tree/usr/lib/x86_64-linux-gnu/swtpm
  echo "swtpm $2, libtpms $3"
  python3 lock.py "$loader" --library-path "$libraries" tree/usr/bin/swtpm || status=1
}

try bookworm 0.7.1-1.3 0.9.2-3.1+deb12u1
try sid 0.10.2-2 0.10.2-5
exit "$status"
