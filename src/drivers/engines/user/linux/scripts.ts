/**
 * Becomes process 1 of a sandbox: builds its view of the file system, says `ready <pid>`, then only reaps.
 *
 * Arguments: place (mount point or directory of the sandbox's files), image ('' for a directory), home, home root, UID, MiB of shared
 * memory, text of resolv.conf, path that resolv.conf really is at; then words `ro <options> <mount point>`, `hide <directory>` and
 * `show <directory>`.
 * Nothing under the job's own directories is touched as root: they hold whatever the job left there.
 */
export const holderScript = `set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
read -r outer rest </proc/self/stat
place=$1 image=$2 home=$3 homes=$4 uid=$5 shm=$6 names=$7 namesPath=$8
shift 8
umask 022
mount -t proc -o nosuid,nodev,noexec proc /proc
if [ -n "$image" ]; then
  # An image that is open through the mount of / would keep / from becoming read-only.
  mount -n --bind "\${image%/*}" "\${image%/*}"
  mount -n -t ext4 -o loop,nosuid,nodev,noinit_itable,discard "$image" "$place"
else
  mount -n --bind "$place" "$place"
  mount -n -o remount,bind,nosuid,nodev "$place"
fi
cd "$place"
for part in home tmp vartmp; do [ -d "$part" ] || mkdir "$part"; done
chown "$uid:$uid" home; chmod 0700 home; chmod 1777 tmp vartmp
weak=
while [ $# -gt 0 ]; do
  case $1 in
    ro) mount -n -o "remount,bind,ro,$2" "$3" 2>/dev/null || weak="$weak $3"; shift 3 ;;
    hide) [ ! -d "$2" ] || hidden="\${hidden:-}$2
"; shift 2 ;;
    show) shown=$2; shift 2 ;;
  esac
done
mount -n -t tmpfs -o mode=0755,nosuid,nodev,size=16m tmpfs /run
mkdir -m 1777 /run/lock
mkdir -p /run/user /run/cidery/secrets
chown "$uid:$uid" /run/cidery/secrets; chmod 0700 /run/cidery/secrets
if [ -n "\${shown:-}" ]; then
  # What is mounted is the directory that was entered, and that is the one that was allowed: no link can be changed in between.
  cd -P "$shown"
  [ "$(/bin/pwd -P)" = "$shown" ] || { echo "$shown is not where it was" >&2; exit 1; }
  mkdir /run/cidery/source
  mount -n -c --bind . /run/cidery/source
  mount -n -o remount,bind,ro,nosuid,nodev /run/cidery/source
  cd "$place"
fi
if [ -n "$names" ]; then
  case $namesPath in
    /run/*) mkdir -p "\${namesPath%/*}"; printf '%s\\n' "$names" >"$namesPath" ;;
    *) printf '%s\\n' "$names" >/run/cidery/resolv.conf; mount -n --bind /run/cidery/resolv.conf "$namesPath" ;;
  esac
fi
mount -n -t tmpfs -o mode=0755,nosuid,noexec,size=1m tmpfs /dev
mkdir /dev/pts /dev/shm
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/full c 1 7
mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9; mknod -m 666 /dev/tty c 5 0
mount -n -t devpts -o newinstance,ptmxmode=0666,mode=0620,nosuid,noexec devpts /dev/pts
mount -n -t tmpfs -o "mode=1777,nosuid,nodev,size=\${shm}m" tmpfs /dev/shm
ln -s pts/ptmx /dev/ptmx; ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
mount -n -o remount,ro,nosuid,noexec /dev
mount -n -t tmpfs -o mode=0755,nosuid,nodev,size=64k tmpfs "$homes"
mkdir "$home"
mount -n -c --bind ./home "$home"
mount -n -o remount,ro,nosuid,nodev "$homes"
mount -n -c --bind ./vartmp /var/tmp
mount -n -c --bind ./tmp /tmp
cd /
printf '%s' "\${hidden:-}" | while IFS= read -r directory; do
  [ ! -d "$directory" ] || mount -n -t tmpfs -o mode=0,ro,nosuid,nodev,noexec,size=4k tmpfs "$directory"
done
setpriv --reuid "$uid" --regid "$uid" --clear-groups --no-new-privs mkdir -p -m 0700 "$home/work" "$home/tmp" || weak="$weak $home"
printf 'ready %s%s\\n' "$outer" "$weak"
exec /bin/sh -c 'while :; do sleep 2147483647 & wait; done' cidery-sandbox "$place" </dev/null >/dev/null 2>&1
`

/**
 * Puts itself into the sandbox's control groups, makes sure that the recorded process 1 is still the one, and becomes nsenter.
 * Runs as root, so nothing of the job may be in its environment but values under names of ours.
 */
export const launchScript = `pid=$1 start=$2
shift 2
while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done
shift
startOf() { shift 19; found=$1; }
read -r stat </proc/$pid/stat || exit 125
startOf \${stat##*) }
if [ "$found" != "$start" ]; then echo 'cidery: the sandbox is gone' >&2; exit 125; fi
ulimit -c 0
exec "$@"
`

/**
 * Last step before the command, already as the job's user: goes to its directory and unpacks the environment, which came as
 * CIDERY_ENV_0=NAME=value (and CIDERY_ENV_0_1=rest of it …) so that no variable of the job (LD_PRELOAD, PATH, …) ever reached a program that ran as root.
 */
export const enterScript = `cd -- "$1" || exit 125
_cidery_count=$2 _cidery_i=0
shift 2
unset PWD OLDPWD
while [ "$_cidery_i" -lt "$_cidery_count" ]; do
  eval "_cidery_v=\\$CIDERY_ENV_$_cidery_i"
  unset "CIDERY_ENV_$_cidery_i"
  _cidery_j=1
  while eval "[ -n \\"\\\${CIDERY_ENV_\${_cidery_i}_$_cidery_j+set}\\" ]"; do
    eval "_cidery_v=\\$_cidery_v\\$CIDERY_ENV_\${_cidery_i}_$_cidery_j"
    unset "CIDERY_ENV_\${_cidery_i}_$_cidery_j"
    _cidery_j=$((_cidery_j + 1))
  done
  command export "$_cidery_v" || :
  _cidery_i=$((_cidery_i + 1))
done 2>/dev/null
exec "$@"
`
