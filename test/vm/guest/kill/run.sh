# Runs in the guest, as root: a daemon on the real cpufreq driver that is killed again and again. Each line of /vm/plan says when,
# in thousandths of what the phase may take, and who puts the controls back; /vm/tries has what came of it.
. /vm/common.sh
program=$(cat /vm/program)
runtime=/run/tailgov

now_ms() { echo "$(($(cut -d' ' -f1 /proc/uptime | tr -d .)0))"; }
sleep_ms() { sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"; }
governs() { [ "$(cat $cpufreq/policy0/scaling_max_freq)" -lt 3200000 ]; }
has_ended() { [ ! -d "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }
# On a machine that is very busy it may be given up while it starts: one more end, after which all must be as it was.
governs_or_ended() { governs || has_ended $daemon; }
guardian_of() { grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3 | head -n 1; }

/vm/scripted-server 127.0.0.1 'r1 w100 s1' >/vm/port &
until_true 60 [ -s /vm/port ]
port=$(cat /vm/port)
sed -i "s/PORT/$port/" /vm/tailgov.yaml
# One request after the other: the policy goes up and down with each.
bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; while echo -n x >&3 && read -r -n 1 <&3; do :; done" &

as_operator_likes
controls original

start_ms=0
while read -r phase share way; do
  began=$(now_ms)
  "$GUEST_NODE" "$program" run --config /vm/tailgov.yaml --runtime $runtime >/vm/daemon.log 2>&1 &
  daemon=$!
  if [ "$phase" = start ]; then
    sleep_ms $((start_ms * share / 1000))
  else
    until_true 300 governs_or_ended
    [ $start_ms -gt 0 ] || start_ms=$(($(now_ms) - began))
    [ "$phase" = stop ] && kill -TERM $daemon
    sleep_ms $((share * 2))
  fi
  # What it would do next it never does.
  kill -STOP $daemon 2>/dev/null
  guardian=$(guardian_of $daemon)
  [ "$way" = restore ] && [ -n "$guardian" ] && kill -KILL "$guardian"
  kill -KILL $daemon 2>/dev/null
  wait $daemon 2>/dev/null
  controls killed
  if [ "$way" = guardian ] && [ -n "$guardian" ]; then
    until_true 300 has_ended "$guardian"
  else
    "$GUEST_NODE" "$program" restore --runtime $runtime >/vm/restore.log 2>&1 || echo "restore failed" >>/vm/in-vain
  fi
  controls restored
  changed=same
  cmp -s /vm/original /vm/killed || changed=changed
  outcome=restored
  cmp -s /vm/original /vm/restored || outcome=lost
  [ ! -e $runtime/journal ] || outcome=journal
  echo "$phase $way $changed $outcome $(($(now_ms) - began))" >>/vm/tries
  [ $outcome = restored ] || { cat /vm/restored /vm/daemon.log >>/vm/in-vain; break; }
  rm -f $runtime/control.sock
done </vm/plan
[ ! -e /vm/in-vain ]
