# A service to which systemd has delegated its control group: it makes one of its own below, and works there.
group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir "$group/work"
echo $$ >"$group/work/cgroup.procs"
echo +cpuset >"$group/cgroup.subtree_control"
exec "$GUEST_NODE" /vm/server.mjs batch 7414
