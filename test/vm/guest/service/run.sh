# Runs in the guest, as root, under systemd: the package's unit on the real cpufreq driver. What is seen goes to /vm, step by
# step; service.test.ts judges it.
. /vm/common.sh

maximum() { cat $cpufreq/policy"$1"/scaling_max_freq; }
slowed() { [ "$(maximum 0)" -lt 3200000 ] && [ "$(maximum 1)" -lt 2800000 ]; }
says_latency() { property StatusText | grep 'echo p99' >/vm/status-text; }
# The CPU time of a process is looked at in intervals that grow with what a look costs.
knows_utilization() { tailgov status --json >/vm/status.json && grep -q '"utilization": *[0-9]' /vm/status.json; }

install_package
load 7
setpriv --reuid=65534 --clear-groups "$GUEST_NODE" /vm/server.mjs echo 7411 &
until_true 200 [ -e /vm/serving-echo ]

as_operator_likes
systemctl start power-profiles-daemon.service
controls original

step start
systemctl start tailgov.service
systemctl show --property ActiveState,SubState,MainPID,StatusText,NRestarts tailgov.service >/vm/started
systemctl is-active power-profiles-daemon.service >/vm/rival-state
until_true 200 slowed
controls governed
systemctl reload tailgov.service
until_true 100 knows_utilization
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
controls beside-rival
systemctl show --property ActiveState,Result,ExecMainStatus tailgov.service >/vm/stopped
ls -A /run/tailgov >/vm/left-behind
[ ! -e /vm/in-vain ]
