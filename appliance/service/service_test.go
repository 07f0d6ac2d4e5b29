package service

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/store/vault"
)

// settings are the lines of a unit: section.key → values.
func settings(t *testing.T, unit string) map[string][]string {
	t.Helper()
	out, section := map[string][]string{}, ""
	for i, line := range strings.Split(unit, "\n") {
		key, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		case !ok || section == "" || strings.ContainsAny(key, " {}") || strings.ContainsAny(strings.ReplaceAll(value, "${CREDENTIALS_DIRECTORY}", ""), "{}%\\\"'"):
			t.Errorf("line %d of the unit: %q", i+1, line)
		default:
			out[section+"."+key] = append(out[section+"."+key], value)
		}
	}
	return out
}

func TestUnit(t *testing.T) {
	lan, card := Defaults(), Defaults()
	lan.Listen, lan.Home, lan.Allow = "[::]:8080", "/srv/cloister", []string{"192.168.7.0/24", "10.1.2.3"}
	card.Listen, card.CUDA = "0.0.0.0:8080", true
	for name, c := range map[string]struct {
		o    Options
		want map[string]string
	}{
		"this machine": {Defaults(), map[string]string{
			"Service.ExecStart":      "/usr/local/bin/cloister serve --home /var/lib/cloister --listen 127.0.0.1:8080 --master-key ${CREDENTIALS_DIRECTORY}/master.key --require-airgap",
			"Service.User":           "cloister",
			"Service.StateDirectory": "cloister", "Service.ReadWritePaths": "",
			"Service.IPAddressDeny": "any", "Service.IPAddressAllow": "localhost",
			"Service.LoadCredential":         "master.key:/etc/cloister/master.key",
			"Service.MemoryDenyWriteExecute": "yes", "Service.PrivateDevices": "yes", "Service.DeviceAllow": "",
			"Service.CapabilityBoundingSet": "", "Service.NoNewPrivileges": "yes", "Service.ProtectSystem": "strict",
			"Service.RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6", "Service.LimitCORE": "0",
			"Install.WantedBy": "multi-user.target",
		}},
		"a network": {lan, map[string]string{
			"Service.IPAddressAllow": "localhost 192.168.7.0/24 10.1.2.3", "Service.StateDirectory": "", "Service.ReadWritePaths": "/srv/cloister",
		}},
		"a card": {card, map[string]string{
			"Service.MemoryDenyWriteExecute": "", "Service.PrivateDevices": "", "Service.DevicePolicy": "closed", "Service.DeviceAllow": "char-nvidia* rw",
			"Service.IPAddressAllow": "localhost link-local 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := c.o.Unit()
			if err != nil {
				t.Fatal(err)
			}
			got := settings(t, text)
			for key, want := range c.want {
				if have := strings.Join(got[key], "; "); have != want {
					t.Errorf("%s is %q, want %q", key, have, want)
				}
			}
			verify(t, text)
		})
	}
}

// verify asks systemd itself, where it is.
func verify(t *testing.T, unit string) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	path := filepath.Join(t.TempDir(), "cloister.service")
	// It looks for the programs.
	unit = strings.NewReplacer("/usr/local/bin/cloister", "/bin/true", "/usr/bin/nvidia-modprobe", "/bin/true").Replace(unit)
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), "cloister.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"root":                  func(o *Options) { o.User = "root" },
		"a user with a blank":   func(o *Options) { o.User = "a b" },
		"a relative home":       func(o *Options) { o.Home = "data" },
		"a home in /home":       func(o *Options) { o.Home = "/home/kim/cloister" },
		"a specifier":           func(o *Options) { o.Home = "/var/lib/%i" },
		"a second line":         func(o *Options) { o.Key = "/etc/key\nExecStart=/bin/sh" },
		"a home with dots":      func(o *Options) { o.Home = "/var/lib/../../etc" },
		"a name to listen on":   func(o *Options) { o.Listen = "localhost:8080" },
		"a port of root's":      func(o *Options) { o.Listen = "0.0.0.0:443" },
		"a network of nowhere":  func(o *Options) { o.Allow = []string{"office"} },
		"a program of no place": func(o *Options) { o.Binary = "cloister" },
	} {
		o := Defaults()
		o.Root = t.TempDir()
		change(&o)
		if _, err := o.Unit(); err == nil || !strings.HasPrefix(err.Error(), "--") {
			t.Errorf("%s: %v", name, err)
		}
		if err := Install(o, "/proc/self/exe", func(string, ...any) {}); err == nil {
			t.Errorf("%s was installed", name)
		}
		if list, _ := os.ReadDir(o.Root); len(list) != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}

// install installs a file with this content and returns what was said.
func install(t *testing.T, o Options, content string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(program, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	if err := Install(o, program, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(said, "\n")
}

func TestInstall(t *testing.T) {
	o := Defaults()
	o.Root = t.TempDir()
	if said := install(t, o, "version 1"); strings.Count(said, "wrote ") != 3 || !strings.Contains(said, "made the master key") {
		t.Errorf("the first time:\n%s", said)
	}
	key, err := vault.ReadKeyFile(o.Root + o.Key)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{o.Binary: 0o755, o.Key: 0o600, unitPath: 0o644, userPath: 0o644} {
		if info, err := os.Stat(o.Root + path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if said := install(t, o, "version 1"); strings.Contains(said, "wrote ") || strings.Contains(said, "made ") {
		t.Errorf("the second time:\n%s", said)
	}
	before, err := os.Stat(o.Root + o.Binary)
	if err != nil {
		t.Fatal(err)
	}
	if said := install(t, o, "version 2"); strings.Count(said, "wrote ") != 1 {
		t.Errorf("an upgrade:\n%s", said)
	}
	after, err := os.Stat(o.Root + o.Binary)
	if err != nil || os.SameFile(before, after) {
		t.Errorf("the program was written over, which a running one does not allow: %v", err)
	}
	if again, err := vault.ReadKeyFile(o.Root + o.Key); err != nil || again != key {
		t.Errorf("the key is another one: %v", err)
	}
	if list, err := filepath.Glob(filepath.Join(filepath.Dir(o.Root+o.Binary), ".*")); err != nil || len(list) != 0 {
		t.Errorf("left over: %v", list)
	}
	var said []string
	if err := Uninstall(o, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }); err != nil || len(said) != 3 {
		t.Errorf("%v, %q", err, said)
	}
	if _, err := os.Stat(o.Root + o.Key); err != nil {
		t.Errorf("the master key went with the service: %v", err)
	}
	if err := Uninstall(o, func(string, ...any) { t.Error("something was left") }); err != nil {
		t.Error(err)
	}
}

// Data that were there before the service keep their key.
func TestInstallOverData(t *testing.T) {
	o := Defaults()
	o.Root = t.TempDir()
	if err := os.MkdirAll(o.Root+o.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.KeyFile(o.Root + o.Home + "/master.key"); err != nil {
		t.Fatal(err)
	}
	if said := install(t, o, "version 1"); !strings.Contains(said, "keep their key") {
		t.Error(said)
	}
	if _, err := os.Stat(o.Root + o.Key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a second key was made: %v", err)
	}
	text, err := os.ReadFile(o.Root + unitPath)
	if err != nil {
		t.Fatal(err)
	}
	if got := settings(t, string(text))["Service.LoadCredential"]; !slices.Equal(got, []string{"master.key:/var/lib/cloister/master.key"}) {
		t.Errorf("LoadCredential is %q", got)
	}
}

// A file that is no key is not replaced.
func TestInstallBadKey(t *testing.T) {
	o := Defaults()
	o.Root = t.TempDir()
	if err := os.MkdirAll(filepath.Dir(o.Root+o.Key), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Root+o.Key, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Install(o, "/bin/true", func(string, ...any) {}); !errors.Is(err, vault.ErrBadKeyFile) {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(o.Root + o.Key); err != nil || string(b) != "garbage" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestNeedsRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("this is root")
	}
	if err := Install(Defaults(), "/bin/true", func(string, ...any) {}); !errors.Is(err, ErrNeedsRoot) {
		t.Errorf("%v", err)
	}
}

func TestReady(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(); err != nil {
		t.Errorf("not a service: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Ready(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "READY=1" {
		t.Errorf("%q, %v", b[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", path+".gone")
	if err := Ready(); err == nil {
		t.Error("nobody was told, and it is no error")
	}
}
