# Where the service and what is beside it may run.
for group in /sys/fs/cgroup/batch /sys/fs/cgroup/batch/echo; do
  echo "$group/cpuset.cpus.effective $(cat $group/cpuset.cpus.effective)"
done
for pid in $(cat /vm/pid-echo) $(cat /vm/pinned-pid) $(cat /vm/beside-pid); do
  for task in /proc/"$pid"/task/*; do
    echo "$(cat "$task/comm") $(sed -n 's/^Cpus_allowed_list:\s*//p' "$task/status")"
  done
done | sort
