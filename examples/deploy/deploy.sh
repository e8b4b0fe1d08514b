#!/bin/sh
# Brings a new binary to the hosts of a fleet, one after the other, and stops at the first
# on which the upgrade does not succeed: the rest of the fleet stays as it is.
#
#   deploy.sh NEW_BINARY HOST...
#
# Everything hangs on the exit status of gozdctl (gozdctl help exit-status). If the new binary
# does not serve (1), the old one serves on, and is put back into its place.
#
# In the environment, each with %h for the name of the host:
#
#   BINARY   path of the daemon's binary there   (/usr/local/bin/app)
#   CONFIG   path of its configuration there     (/etc/app/app.conf)
#   GOZDCTL  gozdctl there                       (gozdctl)
#   SSH      how to get there                    (ssh -o BatchMode=yes)
#   TIMEOUT  for each upgrade                    (5m)
#
# The paths have no blanks. The exit status is that of the first gozdctl that failed, 2 for a
# command line that makes no sense, and 255 where ssh itself failed.
set -u

BINARY=${BINARY:-/usr/local/bin/app}
CONFIG=${CONFIG:-/etc/app/app.conf}
GOZDCTL=${GOZDCTL:-gozdctl}
SSH=${SSH:-ssh -o BatchMode=yes}
TIMEOUT=${TIMEOUT:-5m}

# on has a host run a command.
on() {
  host=$1
  shift
  # shellcheck disable=SC2086 # ssh and its options
  $SSH "$host" "$(printf %s "$*" | sed "s|%h|$host|g")"
}

# install puts the new binary in the old one's place by a rename, which also works
# while that runs, and keeps the old one.
install() {
  on "$1" "cat >$BINARY.new && chmod 755 $BINARY.new && cp -p $BINARY $BINARY.previous && mv -f $BINARY.new $BINARY" <"$2"
}

# upgrade returns the exit status of gozdctl.
upgrade() {
  on "$1" "$GOZDCTL check $CONFIG" </dev/null >/dev/null || return
  on "$1" "$GOZDCTL upgrade --no-wait-drain --timeout $TIMEOUT -c $CONFIG" </dev/null
}

main() {
  [ $# -ge 2 ] && [ -r "$1" ] || {
    echo "usage: deploy.sh NEW_BINARY HOST..." >&2
    exit 2
  }
  new=$1
  shift
  for name; do
    echo "$name:"
    install "$name" "$new" || exit
    upgrade "$name" && continue
    status=$?
    if [ $status = 1 ]; then # and nothing else: otherwise the new one may serve, or be started next
      on "$name" "mv -f $BINARY.previous $BINARY" </dev/null
    fi
    echo "$name: gozdctl has ended with status $status; the hosts after it are as they were" >&2
    exit $status
  done
}

main "$@"
