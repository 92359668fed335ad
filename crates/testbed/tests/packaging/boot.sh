#!/bin/sh
# Boots this machine's own Debian once more, as a container whose changes are kept in memory, and runs story.sh in it.
# Usage: boot.sh FOLDER CGROUP. The folder, with the packages in it, is /story inside; run it with mounts of its own.
set -e
folder=$1 cgroup=$2
# Of its own, so that nothing of it is left.
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    if [ -e "$hierarchy/cgroup.procs" ]; then
        mkdir -p "$hierarchy/$cgroup"
        echo $$ > "$hierarchy/$cgroup/cgroup.procs"
    fi
done
mkdir "$folder/memory"
mount -t tmpfs none "$folder/memory"
cd "$folder/memory"
mkdir upper work root
mount -t overlay none -o lowerdir=/,upperdir=upper,workdir=work root
# The services of this machine are not started there, and no update interferes.
cat > root/etc/systemd/system/story.target <<END
[Unit]
Requires=basic.target story.service
After=basic.target
END
cat > root/etc/systemd/system/story.service <<END
[Unit]
After=basic.target
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/story/story.sh
StandardOutput=file:/story/output
StandardError=inherit
END
ln -sf /dev/null root/etc/systemd/system/docker.socket
exec systemd-nspawn --quiet --directory=root --register=no --keep-unit --private-network --link-journal=no \
    --bind="$folder:/story" --boot systemd.unit=story.target
