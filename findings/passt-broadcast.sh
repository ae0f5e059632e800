#!/usr/bin/env bash
# passt of Debian 12 answers DHCP to an address that the client does not have yet, also when it asks for a broadcast.
#
# What one would think: a client that sets the broadcast flag, since it cannot receive by an address before it has it,
# gets its answer to 255.255.255.255 (RFC 2131, section 4.1). So any firmware boots from a network that passt makes.
# What was seen: passt of 2023 sends its DHCPOFFER to the address that it offers. Linux' clients listen below IP and
# do not mind. OVMF, which sets the flag and has no address, never sees the offer: PXE and HTTP boot end with "Server
# response timeout". passt of Debian 13 (May 2025) sends it to 255.255.255.255.
#
# Versions: passt 0.0~git20230309.7c7625d-1 (Debian 12), 0.0~git20250503.587980c-2+deb13u1 (Debian 13). Seen on
# 30 November 2026.
#
# Needs Debian 12 or later, python3, and a minute. Status 0: as described. 1: something is different. 2: could not be
# tried, for example because the archive has other versions by now.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# As root passt becomes nobody, who is to see its files.
chmod 755 "$work"
cd "$work"

cat >discover.py <<'END'
import socket, struct, subprocess, sys

own, far = socket.socketpair()
passt = subprocess.Popen(
    sys.argv[1:] + ["-f", "-q", "-4", "-i", "lo", "-M", "52:55:0a:00:02:02", "-a", "10.0.2.15", "-n", "24",
                    "-g", "10.0.2.2", "--fd", str(far.fileno())],
    pass_fds=[far.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
far.close()
own.settimeout(20)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


mac = bytes.fromhex("525400123456")
# BOOTREQUEST, Ethernet, transaction 1, flags 0x8000: BROADCAST. DHCPDISCOVER.
dhcp = struct.pack(">BBBBIHH", 1, 1, 6, 0, 1, 0, 0x8000) + bytes(16) + mac + bytes(10 + 192)
dhcp += bytes.fromhex("63825363" "350101" "3704" "01033336" "ff")
dhcp += bytes(300 - len(dhcp))
udp = struct.pack(">HHHH", 68, 67, 8 + len(dhcp), 0) + dhcp
ip = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, bytes(4), b"\xff" * 4))
ip[10:12] = struct.pack(">H", checksum(bytes(ip)))
frame = b"\xff" * 6 + mac + b"\x08\x00" + bytes(ip) + udp
own.sendall(struct.pack(">I", len(frame)) + frame)


def read(count):
    data = b""
    while len(data) < count:
        part = own.recv(count - len(data))
        if not part:
            sys.exit(2)
        data += part
    return data


while True:
    answer = read(struct.unpack(">I", read(4))[0])
    # IPv4, UDP, from port 67 to 68.
    if answer[12:14] == b"\x08\x00" and answer[23] == 17 and answer[34:38] == struct.pack(">HH", 67, 68):
        break
passt.terminate()
print(f"offered {socket.inet_ntoa(answer[58:62])}, sent to {socket.inet_ntoa(answer[30:34])}")
sys.exit(0 if answer[30:34] == b"\xff" * 4 else 3)
END

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# try SUITE VERSION STATUS: with this version and its libraries, unpacked and not installed.
try() {
  local loader status=0
  rm -rf lists cache tree
  mkdir -p lists/partial cache/archives/partial tree
  : >status
  echo "deb [arch=amd64 signed-by=$keyring] http://deb.debian.org/debian $1 main" >sources.list
  apt=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o Debug::NoLocking=true)
  apt-get "${apt[@]}" update >log 2>&1 || { cat log && exit 2; }
  apt-get "${apt[@]}" -y --download-only install "passt=$2" >log 2>&1 || { cat log && exit 2; }
  for package in cache/archives/*.deb; do dpkg-deb -x "$package" tree; done
  loader=$(find tree -name ld-linux-x86-64.so.2 -path '*/x86_64-linux-gnu/*' | head -n 1)
  echo "passt $2"
  python3 discover.py "$loader" --library-path "$work/tree/lib/x86_64-linux-gnu:$work/tree/usr/lib/x86_64-linux-gnu" \
    tree/usr/bin/passt || status=$?
  if [[ $status -ne $3 ]]; then
    echo "status $status instead of $3"
    if [[ $status -eq 0 || $status -eq 3 ]]; then exit 1; fi
    exit 2
  fi
}

try bookworm 0.0~git20230309.7c7625d-1 3
try trixie 0.0~git20250503.587980c-2+deb13u1 0
