# Runs in the guest, as root, under systemd: the package's unit governs the CPUs of two services, one by AllowedCPUs, one by the
# cpuset of a delegated control group. What is seen goes to /vm, step by step; service-cores.test.ts judges it.

# until_true SECONDS COMMAND...: the guest is emulated, and slow
until_true() {
  echo "$(cut -d' ' -f1 /proc/uptime) s: $*" >>/vm/steps
  tries=$(($1 * 3))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "in vain: $*" >>/vm/in-vain; return 1; }
    sleep 0.3
  done
}
controls() { sh /vm/controls.sh >"/vm/$1"; }
may_run_on() { [ "$(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/"$(cat /vm/pid-"$1")"/status)" = "$2" ]; }
governed() { tail -n +"$from" /vm/daemon.log | grep -q "governing the CPUs of $1"; }
alone() { may_run_on "$1" 0 || may_run_on "$1" 1; }
allowed_cpus() { [ "$(systemctl show --property AllowedCPUs --value echo.service)" = "$1" ]; }
property() { systemctl show --property "$1" --value tailgov.service; }
restarted() { [ "$(property NRestarts)" = "$1" ] && [ "$(property ActiveState)" = active ]; }
load() { echo "$1" >/vm/load.new; mv /vm/load.new /vm/load; }
step() {
  echo "== $1" >>/vm/daemon.log
  from=$(wc -l </vm/daemon.log)
}
drop_in() { cp "$1" /etc/systemd/guest/tailgov.service.d/cpusets.conf; systemctl daemon-reload; }
# Whose the sockets are is seen once they are read from.
until_each_has_one() {
  load 8
  until_true 200 governed echo
  until_true 200 governed batch
  load 0
  until_true 100 alone batch
  until_true 100 alone echo
}
govern_both() {
  systemctl start tailgov.service
  until_each_has_one
}
guardian() { pgrep -f 'restore --runtime /run/by-hand'; }

[ -e /usr/bin/node ] || ln -s "$GUEST_NODE" /usr/bin/node
dpkg-deb --extract /vm/tailgov.deb /
# Where the guest's systemd looks for units.
cp /usr/lib/systemd/system/tailgov.service /etc/systemd/guest/
echo 'TAILGOV_OPTIONS=' >/etc/default/tailgov
cp /vm/tailgov.yaml /vm/policy.yaml /etc/tailgov/
systemctl daemon-reload
load 8
systemctl start echo.service batch.service
until_true 200 [ -e /vm/serving-echo ]
until_true 200 [ -e /vm/serving-batch ]
controls original

# As the unit is shipped it may ask systemd, and may not write below /sys/fs/cgroup itself.
step shipped
systemctl start tailgov.service
until_true 200 allowed_cpus 0-1
controls busy
load 0
until_true 100 alone echo
tailgov status --json >/vm/shipped.json
controls quiet
systemctl stop tailgov.service
controls stopped

# With the narrow drop-in: one subtree.
step subtree
drop_in /vm/subtree.conf
govern_both
controls subtree
systemctl kill --signal=KILL tailgov.service
until_true 200 restarted 1
systemctl stop tailgov.service
controls subtree-stopped

# With the drop-in of the package: every control group.
step whole
drop_in /usr/share/tailgov/systemd/cpusets.conf
govern_both
controls whole
systemctl stop tailgov.service
controls whole-stopped

# No systemd stands behind this one, and its guardian dies with it: a command restores.
step by-hand
systemctl set-property --runtime echo.service AllowedCPUs=0
tailgov run --runtime /run/by-hand >>/vm/daemon.log 2>&1 &
daemon=$!
until_each_has_one
controls by-hand
kill -STOP $(guardian)
kill -KILL $daemon
kill -KILL $(guardian)
controls killed
tailgov restore --runtime /run/by-hand >/vm/restore 2>&1
controls restored
[ ! -e /vm/in-vain ]
