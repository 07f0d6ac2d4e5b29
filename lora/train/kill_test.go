package train_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"cloister/lora/train"
)

// childVariable makes the test binary a training process that kills itself.
const childVariable = "CLOISTER_TRAIN_CHILD"

// kernelsVariable makes the child train with the kernels' model in place of the reference.
const kernelsVariable = "CLOISTER_TRAIN_KERNELS"

func TestMain(m *testing.M) {
	if when := os.Getenv(childVariable); when != "" {
		if err := child(when); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(measureVariable) != "" {
		if err := measured(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs the request on its standard input and dies by SIGKILL: "event N" is the N-th event, "rename N" the N-th file that is
// complete but has not got its name.
func child(when string) error {
	var what string
	var left int
	if _, err := fmt.Sscan(when, &what, &left); err != nil {
		return err
	}
	count := func(kind string) {
		if kind != what {
			return
		}
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	train.OnRename(func(string) { count("rename") })
	var req train.Request
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil {
		return err
	}
	emit := func(train.Event) { count("event") }
	if os.Getenv(kernelsVariable) != "" {
		_, err := train.Run(context.Background(), req, emit)
		return err
	}
	_, err := train.RunWith(context.Background(), req, emit, withRef)
	return err
}

// Killed again and again at any point, a job ends with the bytes of one that
// was left alone.
func TestKill(t *testing.T) {
	base := writeTiny(t)
	whole := request(t, base)
	want, _ := mustRun(t, whole)
	for _, deaths := range [][]string{
		{"event 15"}, {"event 22", "event 3", "event 5"}, {"rename 1"}, {"rename 2"}, {"rename 3", "rename 1", "rename 2"}, {"rename 10"},
	} {
		t.Run(strings.Join(deaths, ", "), func(t *testing.T) {
			req := request(t, base)
			for _, when := range deaths {
				die(t, req, when)
			}
			got, events := mustRun(t, req)
			if events.hasWarning("checkpoint") {
				t.Errorf("warnings %+v", events.kind("warning"))
			}
			sameFiles(t, "killed", req.OutPath, whole.OutPath)
			if !sameCurve(got.Curve, want.Curve) || got.TrainedTokens != want.TrainedTokens || got.BestEpoch != want.BestEpoch {
				t.Errorf("curve %+v, want %+v", got.Curve, want.Curve)
			}
			for i, c := range got.Checkpoints {
				sameFiles(t, "checkpoint", c.Path, want.Checkpoints[i].Path)
			}
		})
	}
}

// die runs the request in a child that is killed.
func die(t *testing.T, req train.Request, when string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+when)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(text)), os.Stderr
	err = cmd.Run()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child that was to die at %q ended with %v", when, err)
	}
}
