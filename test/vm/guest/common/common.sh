# Sourced by the scripts that run in guests.
cpu=/sys/devices/system/cpu
cpufreq=$cpu/cpufreq

# until_true SECONDS COMMAND...: about so long on an idle machine. Tries are counted, for an emulated guest may be slow.
until_true() {
  echo "$(cut -d' ' -f1 /proc/uptime) s: $*" >>/vm/steps
  tries=$(($1 * 4))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "in vain: $*" >>/vm/in-vain; return 1; }
    sleep 0.2
  done
}
# controls STEP: what they show goes to a file of that name.
controls() { sh /vm/controls.sh >"/vm/$1"; }
# load N: so many requests a second for common/server.mjs.
load() { echo "$1" >/vm/load.new; mv /vm/load.new /vm/load; }
# An operator's choice, which differs from policy to policy and from what the kernel starts with.
as_operator_likes() {
  echo conservative >$cpufreq/policy0/scaling_governor
  echo powersave >$cpufreq/policy1/scaling_governor
  echo 2800000 >$cpufreq/policy1/scaling_max_freq
}

# From here on for guests with systemd and the package's unit.
install_package() {
  [ -e /usr/bin/node ] || ln -s "$GUEST_NODE" /usr/bin/node
  dpkg-deb --extract /vm/tailgov.deb /
  # Where the guest's systemd looks for units.
  cp /usr/lib/systemd/system/tailgov.service /etc/systemd/guest/
  echo 'TAILGOV_OPTIONS=' >/etc/default/tailgov
  cp /vm/*.yaml /etc/tailgov/
  systemctl daemon-reload
}
property() { systemctl show --property "$1" --value tailgov.service; }
restarted() { [ "$(property NRestarts)" = "$1" ] && [ "$(property ActiveState)" = active ]; }
# What the daemon logs from here on belongs to this step.
step() {
  echo "== $1" >>/vm/daemon.log
  from=$(wc -l </vm/daemon.log)
}
