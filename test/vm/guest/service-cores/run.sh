# Runs in the guest, as root, under systemd: the package's unit governs the CPUs of two services, one by AllowedCPUs, one by the
# cpuset of a delegated control group. What is seen goes to /vm, step by step; service-cores.test.ts judges it.
. /vm/common.sh

may_run_on() { [ "$(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/"$(cat /vm/pid-"$1")"/status)" = "$2" ]; }
governed() { tail -n +"$from" /vm/daemon.log | grep -q "governing the CPUs of $1"; }
alone() { may_run_on "$1" 0 || may_run_on "$1" 1; }
allowed_cpus() { [ "$(systemctl show --property AllowedCPUs --value echo.service)" = "$1" ]; }
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

install_package
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
