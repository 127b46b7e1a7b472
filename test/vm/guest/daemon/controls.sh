# Every control, by its effect: what the CPUs may run at, and where the service and what is beside it may run.
for policy in /sys/devices/system/cpu/cpufreq/policy*; do
  for file in scaling_governor scaling_min_freq scaling_max_freq; do
    echo "${policy##*/}/$file $(cat "$policy/$file")"
  done
done
for group in /sys/fs/cgroup/batch /sys/fs/cgroup/batch/echo; do
  echo "$group/cpuset.cpus.effective $(cat $group/cpuset.cpus.effective)"
done
for pid in $(cat /vm/server-pid) $(cat /vm/pinned-pid) $(cat /vm/beside-pid); do
  for task in /proc/"$pid"/task/*; do
    echo "$(cat "$task/comm") $(sed -n 's/^Cpus_allowed_list:\s*//p' "$task/status")"
  done
done | sort
