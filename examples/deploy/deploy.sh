#!/bin/sh
# Brings a new binary to the hosts of a fleet, one after the other, and stops at the first
# on which the upgrade does not succeed: the rest of the fleet stays as it is.
#
#   deploy.sh NEW_BINARY HOST...
#
# Nothing is touched before gozdctl has answered there: the configuration is good, and the daemon
# runs. Then everything hangs on the exit status of the upgrade (gozdctl help exit-status):
#
#   0      the new binary serves. The one before is kept as BINARY.previous.
#   1      the old one serves on, and is put back into its place.
#   other  nobody knows (the time was over, the connection broke): the new binary stays. The last one
#          that is known to have served is BINARY.kept, and stays that through later deployments,
#          until one of them ends with 0 or 1.
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

# ready asks whether the upgrade can begin.
ready() {
  on "$1" "$GOZDCTL check $CONFIG && $GOZDCTL status -c $CONFIG" </dev/null >/dev/null
}

# install puts the new binary in the old one's place by a rename, which also works
# while that runs, and keeps the old one, unless one is kept whose deployment has not ended.
install() {
  on "$1" "cat >$BINARY.new && chmod 755 $BINARY.new &&
    { test -e $BINARY.kept || { cp -p $BINARY $BINARY.keep && mv -f $BINARY.keep $BINARY.kept; }; } &&
    mv -f $BINARY.new $BINARY" <"$2"
}

# upgrade returns the exit status of gozdctl.
upgrade() {
  on "$1" "$GOZDCTL upgrade --no-wait-drain --timeout $TIMEOUT -c $CONFIG" </dev/null
}

# settle gives the kept binary its place.
settle() {
  on "$1" "mv -f $BINARY.kept $2" </dev/null
}

# stop ends the deployment.
stop() {
  echo "$1: $2; the hosts after it are as they were" >&2
  exit "$3"
}

main() {
  if [ $# -lt 2 ] || [ ! -r "$1" ]; then
    echo "usage: deploy.sh NEW_BINARY HOST..." >&2
    exit 2
  fi
  new=$1
  shift
  for name; do
    echo "$name:"
    ready "$name" || stop "$name" "nothing has been done here (status $?)" $?
    install "$name" "$new" || stop "$name" "the new binary could not be installed (status $?)" $?
    upgrade "$name"
    status=$?
    case $status in
      0) settle "$name" "$BINARY.previous" || exit ;;
      1) settle "$name" "$BINARY" && stop "$name" "the new binary does not serve, and the old one is back" 1 || exit ;;
      *) stop "$name" "the outcome is not known (status $status): see gozdctl status; $BINARY.kept is the binary from before" $status ;;
    esac
  done
}

main "$@"
