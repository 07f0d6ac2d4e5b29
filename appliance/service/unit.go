// Package service makes Cloister a service of systemd: it writes the unit, the
// user and the master key, and puts the program in its place. Everything but
// the commands of systemd that it calls can be done below another root, such as
// that of an image.
//
// An upgrade is the same again: the program is replaced in one step, what is
// there already stays.
package service

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
)

// Options of a service. The zero value of none but Root, Allow and CUDA is right;
// Defaults has the others.
type Options struct {
	Root   string   // put before every path that is written; empty: this machine's own
	User   string   // made if it is not there
	Home   string   // data directory
	Listen string   // HOST:PORT of the API
	Key    string   // master key file; made if it is not there
	Binary string   // where the program goes
	Allow  []string // addresses or networks that may talk to it; empty: by Listen
	CUDA   bool     // lets the service use NVIDIA's cards
}

// Defaults are the options of a service for this machine only.
func Defaults() Options {
	return Options{User: "cloister", Home: "/var/lib/cloister", Listen: "127.0.0.1:8080", Key: "/etc/cloister/master.key", Binary: "/usr/local/bin/cloister"}
}

// Paths of what is written beside program, key and data.
const (
	unitPath = "/etc/systemd/system/cloister.service"
	userPath = "/etc/sysusers.d/cloister.conf"
)

var (
	userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)
	// plain is what a path in a unit may hold without being quoted or expanded.
	plain = regexp.MustCompile(`^/[A-Za-z0-9._/+@-]+$`)
)

// validate says what cannot stand in a unit.
func (o Options) validate() error {
	if !userName.MatchString(o.User) || o.User == "root" {
		return fmt.Errorf("--user %q is no name for a user of its own: lower case letters, digits, - and _", o.User)
	}
	for flag, path := range map[string]string{"home": o.Home, "master-key": o.Key, "binary": o.Binary} {
		if !plain.MatchString(path) || filepath.Clean(path) != path {
			return fmt.Errorf("--%s %q must be an absolute path of letters, digits and . _ + @ -", flag, path)
		}
	}
	if strings.HasPrefix(o.Home+"/", "/home/") || strings.HasPrefix(o.Home+"/", "/root/") {
		return fmt.Errorf("--home %q is in a person's home directory, which the service cannot see: use a place such as /var/lib/cloister", o.Home)
	}
	at, err := netip.ParseAddrPort(o.Listen)
	if err != nil {
		return fmt.Errorf("--listen %q is no IP:PORT, such as 127.0.0.1:8080 or 0.0.0.0:8080", o.Listen)
	}
	if at.Port() < 1024 && at.Port() != 0 {
		return fmt.Errorf("--listen %q: ports below 1024 are for root, which the service is not: take one such as 8080, behind a proxy if it must be 443", o.Listen)
	}
	for _, a := range o.Allow {
		_, err := netip.ParsePrefix(a)
		if _, err2 := netip.ParseAddr(a); err != nil && err2 != nil {
			return fmt.Errorf("--allow %q is no address or network, such as 192.168.1.0/24", a)
		}
	}
	return nil
}

// allowed are the addresses that the firewall of the unit lets through: this
// machine, and, for an API that others reach, what was named or the private
// networks of RFC 1918 and RFC 4193.
func (o Options) allowed() string {
	if at, err := netip.ParseAddrPort(o.Listen); err == nil && at.Addr().IsLoopback() && len(o.Allow) == 0 {
		return "localhost"
	}
	if len(o.Allow) > 0 {
		return "localhost " + strings.Join(o.Allow, " ")
	}
	return "localhost link-local 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"
}

// Unit is the text of the unit.
func (o Options) Unit() (string, error) {
	if err := o.validate(); err != nil {
		return "", err
	}
	state := "ReadWritePaths=" + o.Home
	if name, ok := strings.CutPrefix(o.Home, "/var/lib/"); ok {
		state = "StateDirectory=" + name + "\nStateDirectoryMode=0700"
	}
	devices := noCards
	if o.CUDA {
		devices = cards
	}
	return strings.NewReplacer("{user}", o.User, "{home}", o.Home, "{listen}", o.Listen, "{key}", o.Key,
		"{binary}", o.Binary, "{allowed}", o.allowed(), "{state}", state, "{devices}", devices).Replace(unit), nil
}

const unit = `# Written by 'cloister install --systemd', which writes it anew: put changes
# into a drop-in ('systemctl edit cloister').
[Unit]
Description=Cloister, a language model of your own
After=network.target
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
ExecStart={binary} serve --home {home} --listen {listen} --master-key ${CREDENTIALS_DIRECTORY}/master.key --require-airgap
Restart=on-failure
RestartSec=3
# Running answers are finished, and a job writes its checkpoint.
TimeoutStopSec=90
User={user}
Group={user}
UMask=0077
{state}
LoadCredential=master.key:{key}
# A core dump would hold texts and keys.
LimitCORE=0
LimitNOFILE=65536
LimitMEMLOCK=infinity

# No network out. The program itself refuses to connect (seccomp); this holds
# beside it, and limits who may come in.
IPAddressDeny=any
IPAddressAllow={allowed}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service seccomp
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
{devices}

[Install]
WantedBy=multi-user.target
`

const noCards = `PrivateDevices=yes
DevicePolicy=closed
PrivateUsers=yes
MemoryDenyWriteExecute=yes`

// The driver compiles for the card at run time, so MemoryDenyWriteExecute is
// off. Behind the fence its helper, which is setuid, cannot make the device
// files, so they are made before.
const cards = `ExecStartPre=+-/usr/bin/nvidia-modprobe -u -c 0
DevicePolicy=closed
DeviceAllow=char-nvidia* rw`

// ErrNeedsRoot says that only root can install a service.
var ErrNeedsRoot = errors.New("installing a service is for root")
