#!/bin/bash
# Install the Debian 12 packages that building, running, the lab and the tests need.
#   deploy/deps.sh        everything that `make demo` and `make check` need
#   deploy/deps.sh build  only what compiling needs       deploy/deps.sh lint   what `make lint` needs
#   deploy/deps.sh bench  the peers that benchmarks run
#   deploy/deps.sh fuzz   what `make fuzz` needs
# Idempotent and quiet: says what it installs, nothing when all is there.
set -eu
build="gcc make pkg-config libc6-dev libevent-dev libssl-dev libjansson-dev libcsv-dev libsqlite3-dev zlib1g-dev libyaml-dev
  libxml2-dev libcurl4-openssl-dev libvirt-dev librados-dev librbd-dev libgit2-dev libglib2.0-dev tzdata libcmocka-dev
  scdoc git"
lab="libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-block-extra
  qemu-utils ceph-mon ceph-osd ceph-mgr ceph-common python3 iproute2 openssl kmod procps util-linux e2fsprogs
  sqlite3"
lint="clang-format clang-tidy"
bench="ganeti-htools python3"
fuzz="clang libclang-rt-dev"
kernels=/var/lib/drover-lab # the guests' kernel is unpacked here: nothing is added to this machine's boot
case ${1:-all} in
build) want=$build ;;
all) want="$build $lab" ;;
lint) want="$build $lint" ;;
bench) want="$build $bench" ;;
fuzz) want="$build $fuzz" ;;
*) echo "usage: deploy/deps.sh [build|lint|fuzz]" >&2; exit 64 ;;
esac
missing=
for p in $want; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "deps: missing:$missing; run this as root" >&2; exit 1; }
    echo "deps: installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # no daemon of these packages is wanted on this machine: the lab starts its own in namespaces
    policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; trap 'rm -f $policy' EXIT; }
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
        echo "deps: apt-get failed:" >&2; tail -30 "$log" >&2; exit 1
    fi
    rm -f "$log"
fi
kernel_there() { compgen -G '/boot/vmlinuz-*cloud-amd64' || compgen -G "$kernels/boot/vmlinuz-*cloud-amd64"; } >/dev/null
if [ "${1:-all}" = all ] && ! kernel_there; then
    deb=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/{print $2; exit}')
    [ -n "$deb" ] || { apt-get update -qq; deb=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/{print $2; exit}'); }
    echo "deps: unpacking the guests' kernel ($deb) into $kernels"
    tmp=$(mktemp -d)
    (cd "$tmp" && apt-get download -qq "$deb" >/dev/null 2>&1 && mkdir -p $kernels && dpkg-deb -x ./*.deb $kernels) ||
        { echo "deps: cannot download $deb" >&2; exit 1; }
    rm -rf "$tmp"
    for v in $kernels/lib/modules/*; do depmod -b $kernels "$(basename "$v")"; done
    kernel_there || { echo "deps: no kernel in $deb" >&2; exit 1; }
fi
