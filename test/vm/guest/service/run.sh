# Runs in the guest, as root, under systemd: the package's unit on the real cpufreq driver. What is seen goes to /vm, step by
# step; service.test.ts judges it.
policy0=/sys/devices/system/cpu/cpufreq/policy0
policy1=/sys/devices/system/cpu/cpufreq/policy1

# until_true SECONDS COMMAND...: the guest is emulated, and slow
until_true() {
  tries=$(($1 * 5))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "in vain: $*" >>/vm/in-vain; return 1; }
    sleep 0.2
  done
}

controls() { sh /vm/controls.sh; }
slowed() { [ "$(cat $policy0/scaling_max_freq)" -lt 3200000 ]; }
property() { systemctl show --property "$1" --value tailgov.service; }
says_latency() { property StatusText | grep 'echo p99' >/vm/status-text; }
restarted() { [ "$(property NRestarts)" = "$1" ] && [ "$(property ActiveState)" = active ]; }
step() { echo "== $1" >>/vm/daemon.log; }

[ -e /usr/bin/node ] || ln -s "$GUEST_NODE" /usr/bin/node
dpkg-deb --extract /vm/tailgov.deb /
# Where the guest's systemd looks for units.
cp /usr/lib/systemd/system/tailgov.service /etc/systemd/guest/
echo 'TAILGOV_OPTIONS=' >/etc/default/tailgov
cp /vm/tailgov.yaml /etc/tailgov/tailgov.yaml
systemctl daemon-reload
setpriv --reuid=65534 --clear-groups "$GUEST_NODE" /vm/server.mjs &
until_true 200 [ -e /vm/serving ]

# An operator's choice, which differs from policy to policy and from what the kernel starts with.
echo conservative >$policy0/scaling_governor
echo powersave >$policy1/scaling_governor
echo 2800000 >$policy1/scaling_max_freq
systemctl start power-profiles-daemon.service
controls >/vm/original

step start
systemctl start tailgov.service
systemctl show --property ActiveState,SubState,MainPID,StatusText,NRestarts tailgov.service >/vm/started
systemctl is-active power-profiles-daemon.service >/vm/rival-state
until_true 200 slowed
controls >/vm/governed
systemctl reload tailgov.service
# The CPU time of a process is looked at in intervals that grow with what a look costs.
sleep 10
tailgov status --json >/vm/status.json
# Its server has pauses: a status that is taken in one says `idle`.
until_true 60 says_latency
systemctl show --property ActiveState,MainPID tailgov.service >/vm/reloaded
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$(property MainPID)/status" >/vm/privileges

# Daemon and guardian at once: nobody but systemd is left to restore.
step kill
systemctl kill --signal=KILL tailgov.service
until_true 200 restarted 1
until_true 200 slowed

# Every thread of it stands still, as if it hung.
step hang
kill -STOP "$(property MainPID)"
until_true 200 restarted 2
until_true 200 slowed

step rival
systemctl start power-profiles-daemon.service
controls >/vm/beside-rival
systemctl show --property ActiveState,Result,ExecMainStatus tailgov.service >/vm/stopped
ls -A /run/tailgov >/vm/left-behind
[ ! -e /vm/in-vain ]
