package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"cloister/llama"
)

// ServeDevices writes what a model can run on to out: the whole life of a
// worker that is asked for it.
func ServeDevices(out io.Writer) error { return writeLine(out, llama.Devices()) }

// devicePatience is how long a driver may take to start.
const devicePatience = time.Minute

// ChildDevices is llama.Devices in a process of its own, whose driver starts and
// ends with it. exe is the command line that runs ServeDevices.
func ChildDevices(ctx context.Context, exe []string) ([]llama.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, devicePatience)
	defer cancel()
	cmd := command(exe)
	last, out := new(tail), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, last
	err := cmd.Start()
	if err == nil {
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		stop()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot ask which cards there are: %w: %s", err, last.reason(cmd.ProcessState))
	}
	var devices []llama.Device
	if err := json.Unmarshal(out.Bytes(), &devices); err != nil {
		return nil, fmt.Errorf("cannot ask which cards there are: %w", err)
	}
	return devices, nil
}
