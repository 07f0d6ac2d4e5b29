package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/airgap"
	"cloister/llama/gguf/tinygguf"
	"cloister/store"
)

// The appliance answers and trains, and from outside nothing is seen of it but
// its one listener: by strace, where there is one, by the descriptors of its
// processes, and by what the kernel says of their filters.
func TestAirgapFromOutside(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	prefix := []string{}
	if _, err := exec.LookPath("strace"); err == nil {
		prefix = []string{"strace", "-f", "-qq", "-e", "signal=none", "-e", "trace=network,io_uring_setup,io_uring_enter,seccomp", "-o", trace}
	}
	m := newMachine(t, prefix...)
	tiny := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(tiny, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	m.run("model", "import", tiny, "--name", "tiny")
	m.serve()
	appliance := runJSON[admin.Status](m, "status")
	if !appliance.Sealed {
		t.Error("the status does not say that the appliance is sealed")
	}
	m.run("dataset", "import", pairs(t, 30), "--name", "pairs")
	// The real model, so that the worker is still there when it is looked at.
	j := runJSON[store.Job](m, "tune", "--model", "smollm2", "--data", "pairs", "--epochs", "40", "--patience", "-1", "--detach")
	m.inspect(m.worker("train"))
	if status, body := m.post("/v1/chat/completions", `{"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}`); status != 200 {
		t.Errorf("an answer: %d %s", status, body)
	}
	m.inspect(m.worker("infer"))
	m.inspect(appliance.PID)
	if j.ID == "" {
		t.Fatal("no job")
	}
	m.run("job", "cancel", j.ID)
	m.interrupt(appliance.PID)
	if len(prefix) == 0 {
		t.Log("there is no strace; descriptors and filters were looked at")
		return
	}
	readTrace(t, trace)
}

// inspect looks at a process: every thread has a filter, and no descriptor is a
// socket of a network but those of the listener.
func (m *machine) inspect(pid int) {
	m.t.Helper()
	if ok, err := airgap.Filtered(pid); err != nil || !ok {
		m.t.Errorf("process %d is not sealed: %v", pid, err)
	}
	_, port, err := net.SplitHostPort(m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	var number int
	fmt.Sscan(port, &number)
	ours := fmt.Sprintf(":%04X", number)
	network := map[string]string{} // inode → line
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "icmp", "packet", "netlink"} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for _, line := range strings.Split(string(b), "\n") {
			fields := strings.Fields(line)
			switch {
			case len(fields) > 9 && strings.HasPrefix(table, "tcp") && strings.HasSuffix(fields[1], ours):
			case len(fields) > 9:
				network[fields[9]] = table + " " + line
			case len(fields) > 8: // packet
				network[fields[8]] = table + " " + line
			}
		}
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) < 3 {
		m.t.Fatalf("%d descriptors, %v", len(links), err)
	}
	for _, link := range links {
		target, _ := os.Readlink(link)
		inode, isSocket := strings.CutPrefix(target, "socket:[")
		if line, ok := network[strings.TrimSuffix(inode, "]")]; isSocket && ok {
			m.t.Errorf("process %d has a socket of a network: %s", pid, line)
		}
	}
}

// readTrace reads what strace saw: the listener is the only socket of a
// network, and was made before the fence; nothing was connected, or sent to an
// address.
func readTrace(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	outside := regexp.MustCompile(`^\d+ +(socket|socketpair)\((AF_\w+)|^\d+ +(connect|io_uring_\w+)\(|^\d+ +send\w+\(.*sa_family`)
	listeners, fences, accepted := 0, 0, 0
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if strings.Contains(line, "seccomp(") {
			fences++
		}
		if strings.Contains(line, "accept4(") {
			accepted++
		}
		found := outside.FindStringSubmatch(line)
		switch {
		case found == nil, found[2] == "AF_UNIX":
		case fences == 0 && (found[2] == "AF_INET" || found[2] == "AF_INET6") && strings.Contains(line, "SOCK_STREAM"):
			listeners++
		default:
			t.Errorf("strace saw %s", line)
		}
	}
	if listeners != 1 || fences < 3 || accepted == 0 { // the appliance and its two workers
		t.Errorf("strace saw %d network sockets, %d fences and %d accepts; want 1, at least 3 and some", listeners, fences, accepted)
	}
}
