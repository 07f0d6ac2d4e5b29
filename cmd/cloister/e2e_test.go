package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloister/appliance/admin"
	"cloister/appliance/engine/enginetest"
	"cloister/llama/llamatest"
	"cloister/store"
)

// machine is a data directory and the appliance that serves it, driven from
// outside as a user does: by the command line, by HTTP and by signals.
type machine struct {
	t      *testing.T
	home   string
	addr   string
	server *exec.Cmd
	log    *bytes.Buffer // what serve printed
	prefix []string      // runs serve, such as inside a network namespace
	// program is the file that serves; empty: the one on the path.
	program string
}

func newMachine(t *testing.T, prefix ...string) *machine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := &machine{t: t, home: filepath.Join(t.TempDir(), "home"), addr: l.Addr().String(), log: new(bytes.Buffer), prefix: prefix}
	m.run("model", "import", llamatest.Model(t), "--name", "smollm2")
	return m
}

// run runs a command that must succeed and returns its standard output.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("cloister", args...)
	cmd.Env = append(os.Environ(), "CLOISTER_HOME="+m.home)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("cloister %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// runJSON runs a command with --json and decodes what it prints.
func runJSON[T any](m *machine, args ...string) (out T) {
	m.t.Helper()
	text := m.run(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		m.t.Fatalf("cloister %s printed no JSON: %v\n%s", strings.Join(args, " "), err, text)
	}
	return out
}

// serve starts the appliance and waits until it answers on the control socket.
func (m *machine) serve() {
	m.t.Helper()
	// A command that finds no socket would open the data directory itself.
	socket := filepath.Join(m.home, "run", "control.sock")
	_ = os.Remove(socket)
	line := append(append([]string{}, m.prefix...), cmp.Or(m.program, "cloister"), "serve", "--listen", m.addr)
	m.server = exec.Command(line[0], line[1:]...)
	m.server.Env = append(os.Environ(), "CLOISTER_HOME="+m.home)
	m.server.Stdout, m.server.Stderr = m.log, m.log
	m.server.WaitDelay = 10 * time.Second // what a process that was left behind holds open
	if err := m.server.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		for _, pid := range children(m.server.Process.Pid) { // killing the prefix alone would leave the appliance
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		m.kill()
		if m.t.Failed() {
			m.t.Logf("cloister serve printed:\n%s", m.log)
		}
	})
	for range 600 {
		if _, err := os.Stat(socket); err == nil {
			if st := runJSON[admin.Status](m, "status"); st.Listen == "" {
				m.t.Fatal("the status says that nothing listens")
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.t.Fatalf("cloister serve did not come up:\n%s", m.log)
}

// kill kills the appliance, without warning.
func (m *machine) kill() {
	_ = m.server.Process.Kill()
	_ = m.server.Wait()
}

// stop stops the appliance as Ctrl-C does.
func (m *machine) stop() {
	m.t.Helper()
	m.interrupt(m.server.Process.Pid)
}

// interrupt sends the appliance Ctrl-C and waits until it has ended.
func (m *machine) interrupt(appliance int) {
	m.t.Helper()
	if err := syscall.Kill(appliance, syscall.SIGINT); err != nil {
		m.t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() {
		m.t.Error("the appliance did not end within two minutes of Ctrl-C")
		_ = syscall.Kill(appliance, syscall.SIGABRT) // its goroutines are in the log
	})
	_ = m.server.Wait()
	late.Stop()
}

// worker returns the process of a worker of this machine's appliance, waiting for it to appear.
func (m *machine) worker(kind string) int {
	m.t.Helper()
	for range 600 {
		for _, pid := range children(m.server.Process.Pid) {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if bytes.Contains(line, []byte("worker\x00"+kind)) {
				return pid
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.t.Fatalf("no worker %s runs", kind)
	return 0
}

func children(pid int) []int {
	var out []int
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		more, _ := os.ReadFile(path)
		b = append(append(b, ' '), more...)
	}
	for _, field := range strings.Fields(string(b)) {
		var child int
		fmt.Sscan(field, &child)
		out = append(out, child)
		out = append(out, children(child)...)
	}
	return out
}

// post sends JSON to the API and returns status and body.
func (m *machine) post(path, body string) (int, string) {
	m.t.Helper()
	resp, err := http.Post("http://"+m.addr+path, "application/json", strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, string(b) + err.Error()
	}
	return resp.StatusCode, string(b)
}

// pairs writes a small CSV of questions and answers.
func pairs(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range n {
		fmt.Fprintf(&b, "What is kept in cupboard number %d of the %s corridor?,Cupboard %d holds the %s forms.\n",
			i, []string{"north", "south", "east"}[i%3], i, []string{"blue", "green", "yellow", "grey"}[i%4])
	}
	path := filepath.Join(t.TempDir(), "pairs.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m *machine) check() {
	m.t.Helper()
	m.run("check")
}

// waitJob waits for the end of a job.
func (m *machine) waitJob(id string) store.Job {
	m.t.Helper()
	for range 3000 {
		if j := runJSON[store.Job](m, "job", "show", id); j.Status.Terminal() {
			return j
		}
		time.Sleep(200 * time.Millisecond)
	}
	m.t.Fatalf("job %s does not end", id)
	return store.Job{}
}

// Killing any process at any moment costs at most the request that runs in it:
// the next answer comes, and the job goes on from its checkpoint.
func TestKill(t *testing.T) {
	m := newMachine(t)
	m.serve()
	const question = `{"model": "smollm2", "messages": [{"role": "user", "content": "Go on."}], "stream": true, "ignore_eos": true, "max_tokens": 400}`
	start := time.Now()
	resp, err := http.Post("http://"+m.addr+"/v1/chat/completions", "application/json", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	seen, killed, failed := 0, false, false
	var limit time.Duration
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: {") {
			seen++
		}
		failed = failed || strings.Contains(lines.Text(), `"error"`)
		if seen == 3 && !killed {
			killed, limit = true, enginetest.AnswerLimit(time.Since(start)) // the worker's first start
			if err := syscall.Kill(m.worker("infer"), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !killed || !failed {
		t.Errorf("the request in the killed worker ended without an error (%d lines)", seen)
	}
	start = time.Now()
	status, body := m.post("/v1/chat/completions", `{"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}`)
	if status != 200 {
		t.Errorf("after the kill: %d %s", status, body)
	}
	if took := time.Since(start); took > limit {
		t.Errorf("the next answer came after %v, more than %v", took, limit)
	}

	m.run("dataset", "import", pairs(t, 30), "--name", "pairs")
	j := runJSON[store.Job](m, "tune", "--model", "smollm2", "--data", "pairs", "--epochs", "3", "--rank", "4", "--detach")
	m.worker("train")
	time.Sleep(2 * time.Second)
	if err := syscall.Kill(m.worker("train"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	m.kill()
	m.serve()
	if end := m.waitJob(j.ID); end.Status != store.JobSucceeded {
		t.Fatalf("the job ended as %s: %+v", end.Status, end.Error)
	}
	m.stop()
	m.check()
}

// The scripts of appliance/api/testdata/clients upload, train, poll and chat
// with the Python clients of old and new, only the address changed.
func TestPythonClients(t *testing.T) {
	m := newMachine(t)
	m.serve()
	data := filepath.Join(t.TempDir(), "chat.jsonl")
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, `{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is form %d?"}, {"role": "assistant", "content": "Form %d is in tray %d."}]}`+"\n", i, i, i+3)
	}
	if err := os.WriteFile(data, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for script, variable := range map[string]string{"openai3.py": "CLOISTER_PYTHON_OPENAI3", "openai028.py": "CLOISTER_PYTHON_OPENAI028"} {
		t.Run(script, func(t *testing.T) {
			python := os.Getenv(variable)
			if python == "" {
				t.Fatalf("%s is not set; run `make test`, which makes the virtual environment", variable)
			}
			path := filepath.Join("..", "..", "appliance", "api", "testdata", "clients", script)
			out, err := exec.Command(python, path, "http://"+m.addr+"/v1", "gpt-3.5-turbo", data).CombinedOutput()
			if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "OK") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	m.stop()
	m.check()
}

// The whole loop in a network namespace without any network, on the clinic's
// data with planted personal values; none of them is in any byte of the data
// directory or of the log afterwards.
func TestNothingPersonalOnDiskAndNoNetwork(t *testing.T) {
	demo := filepath.Join("testdata", "demo")
	m := newMachine(t, "unshare", "--user", "--map-root-user", "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh")
	m.serve()
	m.run("dataset", "import", filepath.Join(demo, "clinic.csv"), "--name", "clinic", "--allow", filepath.Join(demo, "clinic.allow.txt"))
	m.run("dataset", "import", filepath.Join(demo, "lawfirm.csv"), "--name", "lawfirm", "--allow", filepath.Join(demo, "lawfirm.allow.txt"))
	planted := append(lines(t, filepath.Join(demo, "clinic.planted.txt")), lines(t, filepath.Join(demo, "lawfirm.planted.txt"))...)
	if len(planted) < 30 {
		t.Fatalf("%d planted values", len(planted))
	}
	exported := m.run("dataset", "export", "clinic") + m.run("dataset", "export", "lawfirm")
	for i, value := range planted {
		if strings.Contains(exported, value) {
			t.Errorf("planted value %d is not masked in the dataset", i+1)
		}
	}
	m.run("dataset", "import", pairs(t, 24), "--name", "pairs")
	j := runJSON[store.Job](m, "tune", "--model", "smollm2", "--data", "pairs", "--epochs", "1", "--rank", "4")
	m.run("eval", "--model", j.Adapter, "--data", "pairs", "--limit", "3", "--max-tokens", "16")
	m.run("deploy", j.Adapter, "--as", "support", "--force")
	var answer struct {
		ID string `json:"id"`
	}
	for _, value := range planted[:5] {
		answer = runJSON[struct {
			ID string `json:"id"`
		}](m, "chat", "--model", "support", "--max-tokens", "24", "My details: "+value+". Please repeat them.")
	}
	m.run("feedback", "add", answer.ID, "--rating", "1", "--correction", "Call "+planted[0]+" back.", "--comment", "from "+planted[1])
	m.run("feedback", "apply", "--data", "pairs")
	m.stop()
	m.check()

	haystacks := map[string][]byte{"the log of serve": m.log.Bytes()}
	err := filepath.WalkDir(m.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		haystacks[path] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(haystacks) < 5 {
		t.Fatalf("%d files in the data directory", len(haystacks))
	}
	for name, b := range haystacks {
		for i, value := range planted {
			if bytes.Contains(b, []byte(value)) {
				t.Errorf("planted value %d stands in %s", i+1, name)
			}
		}
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' || r == '\r' })
}
