#!/bin/bash
# Boots a systemd as PID 1 of throw-away namespaces: mount, PID, UTS, IPC and cgroup.
# The network is the caller's, so that clients outside reach what is served inside.
#
#   machine.sh outer CGROUP SCRATCH ROOT BIND...   in the caller's namespaces; stays until the machine is off
#   machine.sh inner SCRATCH ROOT BIND...          its PID 1, before it becomes systemd
#
# CGROUP is a new directory of a cgroup2 mount; SCRATCH an empty directory; ROOT the file system
# to run on, of which nothing is changed; each BIND a directory that is the same inside.
set -euo pipefail

outer() {
  local cgroup=$1
  shift
  echo $$ >"$cgroup/cgroup.procs" # before the cgroup namespace, whose root it becomes
  exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --cgroup bash "$0" inner "$@"
}

# mask has a unit never start: it would wait for a device, or change what is the host's.
mask() {
  local unit
  for unit; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
}

configure() {
  rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
  rm -f "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/fstab"
  : >"$root/etc/machine-id"
  echo gozd-test >"$root/etc/hostname"
  mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
  printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n' >"$root/etc/systemd/system/gozd-test.target"
  ln -sf gozd-test.target "$root/etc/systemd/system/default.target"
  printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToSyslog=no\n' >"$root/etc/systemd/journald.conf.d/test.conf"
  mask dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    systemd-modules-load.service systemd-sysctl.service systemd-journald-audit.socket systemd-udevd.service \
    systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-firstboot.service ldconfig.service
}

# populate mounts the file systems of the kernel. What is the host's is read-only.
populate() {
  local name
  mkdir -p "$root"/{proc,sys,dev,run,tmp}
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
  mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
  for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$root/dev/${name#*:}"; done
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
  mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
}

inner() {
  local scratch=$1 lower=$2 bind
  shift 2
  mount -t tmpfs -o mode=755 tmpfs "$scratch"
  mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
  root=$scratch/root
  mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"
  configure
  populate
  for bind; do
    mkdir -p "$root$bind"
    mount --bind "$bind" "$root$bind"
  done
  mkdir "$root/.old"
  cd "$root"
  pivot_root . .old
  cd /
  umount -l /.old
  rmdir /.old
  # "container" has systemd leave clock, modules and the kernel's log alone.
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb container=gozd-test \
    setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog /lib/systemd/systemd --show-status=false
}

"$@"
