# Where the two services may run: what was asked for, and the effect.
echo "property $(systemctl show --property AllowedCPUs --value echo.service)"
for group in echo.service batch.service batch.service/work; do
  effective=/sys/fs/cgroup/system.slice/$group/cpuset.cpus.effective
  # Without the controller it runs wherever its parent does.
  [ -e $effective ] || effective=/sys/fs/cgroup/cpuset.cpus.effective
  echo "$group $(cat $effective)"
done
for service in echo batch; do
  echo "$service-threads $(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/"$(cat /vm/pid-$service)"/task/*/status | sort -u | tr '\n' ' ')"
done
