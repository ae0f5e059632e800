# shellcheck shell=bash
# shellcheck disable=SC2154 # logs: set by scripts/test
# Step of scripts/test: real VNC viewers look at a picture that is known, and type. Sourced, never
# run; needs packages.sh and vncdotool.sh.

viewers=$logs/viewers
picture_server=$PWD/.build/debug/PictureServer
# Viewers take 127.0.0.1 for their own machine, and some then want raw pixels.
viewer_address=127.0.0.2:93

# serve_picture: starts the server; tell_picture speaks to it.
serve_picture() {
  coproc picture { exec "$picture_server" "$viewer_address"; }
  # shellcheck disable=SC2154 # picture: made by coproc
  exec {from_picture}<&"${picture[0]}" {to_picture}>&"${picture[1]}"
  await_picture ready
}

# await_picture LINE: notes what the server prints in `typed`, up to that line.
await_picture() {
  local line
  while IFS= read -r -t 60 -u "$from_picture" line; do
    [[ $line != "$1" ]] || return 0
    typed+=("$line")
  done
  printf 'the picture server did not say %s\n' "$1" >&2
  return 1
}

tell_picture() {
  printf '%s\n' "$*" >&"$to_picture"
  await_picture ok
}

# end_picture: ends the server.
end_picture() {
  tell_picture quit
  exec {from_picture}<&- {to_picture}>&-
  wait "${picture_PID:-}" 2>/dev/null || true
}

# until_same NAME COMMAND...: takes pictures by COMMAND FILE until one is what the server shows.
until_same() {
  local name=$1 file=$viewers/$1.png attempt different=
  shift
  tell_picture "save $viewers/$name.ppm" || return 1
  for attempt in {1..60}; do
    if "$@" "$file" >>"$viewers/$name.log" 2>&1; then
      different=$(compare -metric AE "$viewers/$name.ppm" "$file" null: 2>&1 || true)
      if [[ $different == 0 ]]; then
        pass_check "$name: all pixels are the server's"
        return 0
      fi
    fi
    sleep 0.5
  done
  fail_check "$name: after $attempt looks still not the same: $different"
}

# has_typed NAME LINE...: the server printed lines of these patterns, in this order, maybe among
# others.
has_typed() {
  local name=$1 line
  shift
  tell_picture counts || return 1
  for line in "${typed[@]}"; do
    # shellcheck disable=SC2053 # a pattern
    [[ $# -eq 0 || $line != $1 ]] || shift
  done
  if [[ $# -eq 0 ]]; then
    pass_check "$name: keys and pointer arrive"
  else
    fail_check "$name: '$1' is missing in: ${typed[*]}"
  fi
  typed=()
}

# window_picture TOP FILE: the viewer's window below TOP lines of its own.
window_picture() {
  import -window "$window" "$2" && mogrify -crop "+0+$1" +repage "$2"
}

# see_window NAME TOP COMMAND...: a viewer with a window.
see_window() {
  local name=$1 top=$2 viewer window='' attempt
  shift 2
  typed=()
  serve_picture
  "$@" >"$viewers/$name.out" 2>&1 &
  viewer=$!
  for attempt in {1..120}; do
    window=$(xdotool search --onlyvisible --name 'a picture' 2>/dev/null | head -n 1)
    [[ -z $window ]] || break
    sleep 0.5
  done
  if [[ -z $window ]]; then
    fail_check "$name: no window after $attempt looks: $(tail -n 3 "$viewers/$name.out")"
  else
    until_same "$name-first" window_picture "$top"
    tell_picture 'fill 100 100 200 50 ff0000'
    tell_picture 'fill 5 395 17 5 00ff00'
    until_same "$name-filled" window_picture "$top"
    tell_picture 'scroll 16'
    until_same "$name-scrolled" window_picture "$top"
    xdotool mousemove --window "$window" 150 $((120 + top)) windowfocus "$window"
    sleep 1
    xdotool click 1 click 4 key a key shift+b key Right keydown q
    sleep 1
    has_typed "$name" 'pointer 150 120 of 640x400 buttons 1' 'pointer 150 120 of 640x400 buttons 0' \
      'wheel 1 0' 'key 4 down' 'key 4 up' 'key e1 down' 'key 5 down' 'key e1 up' 'key 5 up' \
      'key 4f down' 'key 4f up' 'key 14 down'
  fi
  kill "$viewer" 2>/dev/null || true
  wait "$viewer" 2>/dev/null || true
  sleep 1
  [[ -z $window ]] || has_typed "$name, gone" 'key 14 up' 'viewers 0 '*
  end_picture
}

see_vncdotool() {
  local vncdo=("$viewers/venv/bin/vncdo" -s "$viewer_address")
  install_vncdotool "$viewers/venv" || return 1
  typed=()
  serve_picture
  until_same vncdotool-first timeout 60 "${vncdo[@]}" capture
  tell_picture 'fill 100 100 200 50 ff0000'
  until_same vncdotool-filled timeout 60 "${vncdo[@]}" capture
  timeout 60 "${vncdo[@]}" type 'aA@' key ctrl-alt-del move 100 50 click 1 \
    >"$viewers/vncdotool.out" 2>&1 || fail_check "vncdotool: $(tail -n 3 "$viewers/vncdotool.out")"
  has_typed vncdotool 'key 4 down' 'key 4 up' 'key e1 down' 'key 4 down' 'key e1 up' \
    'key e1 down' 'key 1f down' 'key e1 up' 'key e0 down' 'key e2 down' 'key 4c down' \
    'pointer 100 50 of 640x400 buttons 1' 'pointer 100 50 of 640x400 buttons 0'
  end_picture
}

# show_to_viewers: all of them, one after the other.
show_to_viewers() {
  local xvfb display
  rm -rf "$viewers"
  mkdir -p "$viewers"
  require_packages tigervnc-viewer gvncviewer xvfb xdotool imagemagick || return 1
  see_vncdotool
  exec {display_number}<> <(:)
  Xvfb -displayfd "$display_number" -screen 0 1000x800x24 >"$viewers/xvfb.out" 2>&1 &
  xvfb=$!
  IFS= read -r -t 60 -u "$display_number" display || return 1
  export DISPLAY=:$display
  see_window tigervnc 0 xtigervncviewer -RemoteResize=0 -MenuKey= "$viewer_address"
  see_window gvncviewer 25 gvncviewer "$viewer_address"
  kill "$xvfb"
  wait "$xvfb" 2>/dev/null || true
}
