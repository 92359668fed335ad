#!/bin/sh
# What an administrator does with the packages, inside of boot.sh. Its output is compared with expected.txt.
set -eu
cd /story
export DEBIAN_FRONTEND=noninteractive
chapter() { echo "== $*"; }
# Waits until a command succeeds.
until_true() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -gt 600 ]; then
            echo "never: $*"
            journalctl --no-pager -n 60 -u 'ocluster*'
            exit 1
        fi
        sleep 0.1
    done
}
property() { systemctl show --property="$2" --value "$1"; }
status_is() { property "$1" StatusText | grep -q "$2"; }
trap 'code=$?; [ $code = 0 ] || { echo "failed"; systemctl status --no-pager -l "ocluster*"; journalctl --no-pager -n 60; }' EXIT

chapter the packages are installed, and start nothing
dpkg -i ./*.deb >/dev/null
systemctl is-active ocluster-scheduler || true
systemctl is-enabled ocluster-scheduler || true
for program in ocluster-scheduler ocluster-worker ocluster-client ocluster-admin ocluster obuilder; do
    $program --version
done

chapter systemd accepts the units
systemd-analyze verify --man=no /usr/lib/systemd/system/ocluster-scheduler.service \
    /usr/lib/systemd/system/ocluster-scheduler-key.service \
    /usr/lib/systemd/system/ocluster-worker@.service /usr/lib/systemd/system/ocluster-worker-obuilder@.service

chapter the scheduler starts
mkdir -p /etc/systemd/system/ocluster-scheduler.service.d
cat > /etc/systemd/system/ocluster-scheduler.service.d/site.conf <<END
[Service]
# Shorter than on a real site, so that the test is short.
WatchdogSec=4
END
cat > /etc/ocluster/scheduler.toml <<END
pools = ["linux"]
capnp-listen-address = "tcp:127.0.0.1:9000"
listen-prometheus = "9191"
END
echo 'capacity = 3' > /etc/ocluster/worker.toml
echo 'OCLUSTER_CAPACITY=4' > /etc/ocluster/worker/w1.env
systemctl daemon-reload
systemctl enable --now --quiet ocluster-scheduler
systemctl is-active ocluster-scheduler
property ocluster-scheduler StatusText
stat -c '%a %U %n' /etc/ocluster/scheduler-key.pem
ls /var/lib/ocluster-scheduler /var/lib/ocluster-scheduler/secrets
pid=$(property ocluster-scheduler MainPID)
grep -E '^(NoNewPrivs|Seccomp|CapEff):' "/proc/$pid/status"
journalctl --no-pager -o cat -u ocluster-scheduler | grep -c 'Key file' || true

chapter a worker without a cap file reports that
systemctl start ocluster-worker@w1 2>&1 | head -1

chapter a worker starts while the scheduler is away
install -m 600 /var/lib/ocluster-scheduler/secrets/pool-linux.cap /etc/ocluster/worker/w1.cap
systemctl stop ocluster-scheduler
systemctl start ocluster-worker@w1
systemctl is-active ocluster-worker@w1
property ocluster-worker@w1 StatusText

chapter it connects to a started scheduler
systemctl start ocluster-scheduler
until_true status_is ocluster-worker@w1 connected
property ocluster-worker@w1 StatusText
until_true status_is ocluster-scheduler '1 worker'
property ocluster-scheduler StatusText
ocluster-admin show /var/lib/ocluster-scheduler/secrets/admin.cap

chapter a stopped scheduler is restarted
pid=$(property ocluster-scheduler MainPID)
kill -STOP "$pid"
restarted() { [ "$(property ocluster-scheduler NRestarts)" = 1 ] && systemctl is-active ocluster-scheduler; }
until_true restarted
journalctl --no-pager -o cat -u ocluster-scheduler | grep -o 'Watchdog timeout' | head -1
until_true status_is ocluster-worker@w1 connected

chapter both stop
systemctl stop ocluster-worker@w1 ocluster-scheduler
property ocluster-worker@w1 Result
property ocluster-scheduler Result

chapter purged packages leave nothing
dpkg --purge ocluster-scheduler ocluster-worker ocluster-client obuilder >/dev/null
rm -r /etc/systemd/system/ocluster-scheduler.service.d
find /etc /usr /var -xdev \( -name '*ocluster*' -o -name '*obuilder*' \) -newer /story/story.sh
chapter the end
