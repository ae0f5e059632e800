#!/usr/bin/env bash
# swtpm's control channel has a command that cancels the TPM command that runs, and reads it only afterwards.
#
# What one would think: CMD_CANCEL_TPM_CMD, which swtpm_ioctl(8) describes as cancelling the currently running
# TPM command, is answered while the command runs, and the command then ends early with TPM_RC_CANCELED. So
# a monitor can serve the guest's "cancel" register by it.
# What was seen: the answer comes when the command has ended, with success for both: one thread serves control
# and data. A monitor that waits for the answer waits for the command, and a guest's cancel changes nothing.
# Here the command is the making of an RSA key of 3072 bits, of some 100 ms; the cancel is sent after 10 ms.
#
# Versions: swtpm 0.7.1-1.3 with libtpms 0.9.2-3.1+deb12u1 (Debian 12), and 0.10.2-2 with 0.10.2-5 (sid).
# Seen on 29 November 2026.
#
# Needs Debian 12 or later, python3, and a minute. Status 0: as described. 1: something is different. 2: could
# not be tried, for example because the archive has other versions by now.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >cancel.py <<'END'
import os, socket, struct, subprocess, sys, threading, time

swtpm = subprocess.Popen(sys.argv[1:] + [
    "socket", "--tpm2", "--tpmstate", "dir=state", "--ctrl", "type=unixio,path=ctrl",
    "--server", "type=unixio,path=data"])
for path in ("ctrl", "data"):
    for _ in range(200):
        if os.path.exists(path):
            break
        time.sleep(0.05)
control = socket.socket(socket.AF_UNIX)
control.connect("ctrl")


def ask(command, body=b""):
    control.sendall(struct.pack(">I", command) + body)
    return struct.unpack(">I", control.recv(4096)[:4])[0]


ask(2, struct.pack(">I", 0))  # CMD_INIT
data = socket.socket(socket.AF_UNIX)
data.connect("data")


def tpm(command):
    data.sendall(command)
    return data.recv(4096)


tpm(bytes.fromhex("80010000000c000001440000"))  # TPM2_Startup
# TPM2_CreatePrimary in the owner's hierarchy, without authorisation: an RSA key of 3072 bits that signs.
template = bytes.fromhex("0001000b000400720000001000100c00000000000000")
body = bytes.fromhex("40000001" "00000009" "40000009" "0000" "00" "0000" "0004" "00000000")
body += struct.pack(">H", len(template)) + template + bytes.fromhex("0000" "00000000")
create = struct.pack(">HII", 0x8002, 10 + len(body), 0x131) + body
different = 0
for _ in range(5):
    seen = {}

    def read():
        seen["code"] = struct.unpack(">I", data.recv(4096)[6:10])[0]
        seen["ended"] = time.monotonic()

    reader = threading.Thread(target=read)
    reader.start()
    start = time.monotonic()
    data.sendall(create)
    time.sleep(0.01)
    result = ask(9)  # CMD_CANCEL_TPM_CMD
    answered = time.monotonic()
    reader.join()
    ended, answered = (round((t - start) * 1000) for t in (seen["ended"], answered))
    print(f"command: code 0x{seen['code']:x} after {ended} ms; cancel: result {result} after {answered} ms")
    # With some time for whoever of the two threads here runs first.
    if seen["code"] != 0 or result != 0 or answered < ended - 5:
        different = 1
    tpm(bytes.fromhex("80010000000e0000016580000000"))  # TPM2_FlushContext
swtpm.terminate()
sys.exit(different)
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
  python3 cancel.py "$loader" --library-path "$libraries" tree/usr/bin/swtpm || status=1
}

try bookworm 0.7.1-1.3 0.9.2-3.1+deb12u1
try sid 0.10.2-2 0.10.2-5
exit "$status"
