# What the cpufreq controls are, and what else a test looks at.
for policy in /sys/devices/system/cpu/cpufreq/policy*; do
  for file in scaling_governor scaling_min_freq scaling_max_freq; do
    echo "${policy##*/}/$file $(cat "$policy/$file")"
  done
done
[ ! -e /vm/more-controls.sh ] || sh /vm/more-controls.sh
