# Runs in the guest, as root: the daemon governs a real server by frequency and cores while load comes and goes. What is seen
# goes to /vm, step by step; daemon-under-load.test.ts judges it.
cpu=/sys/devices/system/cpu
policy=$cpu/cpufreq
batch=/sys/fs/cgroup/batch
echo=$batch/echo

# until_true SECONDS COMMAND...: the guest is emulated, and slow
until_true() {
  echo "$(cut -d' ' -f1 /proc/uptime) s: $*" >>/vm/steps
  tries=$(($1 * 3))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "in vain: $*" >>/vm/in-vain; return 1; }
    sleep 0.2
  done
}
controls() { sh /vm/controls.sh >"/vm/$1"; }
runs_on() { [ "$(cat $echo/cpuset.cpus.effective)" = "$1" ]; }
capped_at() { [ "$(cat $policy/policy2/scaling_max_freq)" = "$1" ]; }
load() { echo "$1" >/vm/load.new; mv /vm/load.new /vm/load; }

# A tree of somebody else's than systemd, with the server in it, and a process that its owner has pinned.
mkdir -p $echo
echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control
echo +cpuset >$batch/cgroup.subtree_control
load 0
(sh -c 'echo $$ >'$echo'/cgroup.procs; exec "$GUEST_NODE" /vm/server.mjs') >/vm/server.log 2>&1 &
until_true 100 [ -e /vm/serving ]
cat $echo/cgroup.procs >/vm/server-pid
sh -c 'echo $$ >'$echo'/cgroup.procs; exec taskset -c 3 sleep 3600' &
echo $! >/vm/pinned-pid
sleep 3600 &
echo $! >/vm/beside-pid

# An operator's choice, which differs from policy to policy and from what the kernel starts with.
echo conservative >$policy/policy0/scaling_governor
echo powersave >$policy/policy1/scaling_governor
echo 2800000 >$policy/policy1/scaling_max_freq
controls original

"$GUEST_NODE" "$(cat /vm/program)" run --config /vm/tailgov.yaml --runtime /run/tailgov >/vm/daemon.log 2>&1 &
daemon=$!
until_true 150 runs_on 1
until_true 20 capped_at 1200000
controls quiet

load 40
until_true 60 runs_on 1-3
until_true 20 capped_at 3200000
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
