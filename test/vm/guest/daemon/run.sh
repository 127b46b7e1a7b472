# Runs in the guest, as root: the daemon governs a real server by frequency and cores while load comes and goes. What is seen
# goes to /vm, step by step; daemon-under-load.test.ts judges it.
. /vm/common.sh
batch=/sys/fs/cgroup/batch
echo=$batch/echo

runs_on() { [ "$(cat $echo/cpuset.cpus.effective)" = "$1" ]; }
capped_at() { [ "$(cat $cpufreq/policy"$1"/scaling_max_freq)" = "$2" ]; }

# A tree of somebody else's than systemd, with the server in it, and a process that its owner has pinned.
mkdir -p $echo
echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control
echo +cpuset >$batch/cgroup.subtree_control
load 0
(sh -c 'echo $$ >'$echo'/cgroup.procs; exec "$GUEST_NODE" /vm/server.mjs echo 7412') >/vm/server.log 2>&1 &
until_true 100 [ -e /vm/serving-echo ]
sh -c 'echo $$ >'$echo'/cgroup.procs; exec taskset -c 3 sleep 3600' &
echo $! >/vm/pinned-pid
sleep 3600 &
echo $! >/vm/beside-pid

as_operator_likes
controls original

"$GUEST_NODE" "$(cat /vm/program)" run --config /vm/tailgov.yaml --runtime /run/tailgov >/vm/daemon.log 2>&1 &
daemon=$!
until_true 150 runs_on 1
until_true 20 capped_at 1 1200000
until_true 20 capped_at 2 1200000
controls quiet

load 40
until_true 60 runs_on 1-3
until_true 20 capped_at 1 2800000
until_true 20 capped_at 2 3200000
controls busy

load 0
until_true 60 runs_on 1
controls quiet-again

# The CPU that the service has goes: it gets another. It comes back: nothing else is disturbed.
echo 0 >$cpu/cpu1/online
until_true 60 runs_on 2
controls unplugged 2>/dev/null
load 40
until_true 60 runs_on 2-3
echo 1 >$cpu/cpu1/online
until_true 60 runs_on 1-3
controls replugged
load 0
until_true 60 runs_on 1
"$GUEST_NODE" "$(cat /vm/program)" status --runtime /run/tailgov --json >/vm/status.json

kill -KILL $daemon
until_true 100 [ ! -e /run/tailgov/journal ]
controls restored
ls -A /run/tailgov >/vm/left-behind

# The table of writes and answers is for two CPUs.
echo 0 >$cpu/cpu2/online
echo 0 >$cpu/cpu3/online
"$GUEST_NODE" /vm/run.mjs
[ ! -e /vm/in-vain ]
