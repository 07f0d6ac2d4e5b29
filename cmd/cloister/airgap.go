package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/airgap"
	"cloister/appliance/engine"
)

// fenceFinding takes the network away from this process, says whether this
// kernel can, and whether the appliance that runs has done so.
func fenceFinding(running *admin.Status) finding {
	f := finding{Check: "airgap", Status: "ok", Detail: "processes give up the network when they start; 'cloister doctor --airgap' proves it"}
	if err := airgap.Seal(); err != nil {
		f.Status, f.Detail = "warn", err.Error()
		f.Advice = "use a kernel with seccomp; until then, cut the network off from outside (a firewall, or the systemd unit's IPAddressDeny)"
		return f
	}
	if running == nil {
		return f
	}
	if fenced, err := airgap.Filtered(running.PID); err == nil && !fenced { // an error: another user's, or it has ended
		f.Status, f.Detail = "warn", fmt.Sprintf("the appliance (process %d) has not given up the network", running.PID)
		f.Advice = "its log says why; 'cloister serve --require-airgap' does not start without"
	}
	return f
}

// proveAirgap tries every way out from a process that is fenced like the
// appliance, and prints what became of each.
func proveAirgap(c *cli.Context) error {
	ctx, stop := interruptible(c.Context)
	defer stop()
	proof, err := airgap.Prove(ctx, engine.SelfCommand("worker", "airgap"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(c, map[string]any{"ok": proof.OK(), "arrived": proof.Arrived, "trials": proof.Trials})
	} else {
		err = writeProof(c, proof)
	}
	if err == nil && !proof.OK() {
		err = errSaid
	}
	return err
}

func writeProof(c *cli.Context, proof airgap.Proof) error {
	var rows [][]string
	failed := 0
	for _, t := range proof.Trials {
		status, want := "ok", "refused"
		if t.Works {
			want = "works"
		}
		if !t.OK {
			status = "fail"
			failed++
		}
		rows = append(rows, []string{status, want, t.Name, t.Before, t.Now})
	}
	if err := table(c.App.Writer, "", []string{"", "must be", "what", "before the fence", "behind it"}, rows); err != nil {
		return err
	}
	verdict := "Nothing gets out, and answers go on."
	switch {
	case proof.Arrived > 0:
		verdict = fmt.Sprintf("THE FENCE IS OPEN: %d attempts arrived at an observer outside.", proof.Arrived)
	case failed > 0:
		verdict = fmt.Sprintf("%d trials did not end as they must.", failed)
	}
	_, err := fmt.Fprintf(c.App.Writer, "\n%s\n", verdict)
	return err
}

// airgapWorkers are the processes of proveAirgap.
func airgapWorkers() []*cli.Command {
	return []*cli.Command{
		{
			Name: "airgap", Usage: "try to get out, without and with the fence", UsageText: "cloister worker airgap",
			Action: func(*cli.Context) error {
				nested := func(address string) *exec.Cmd { return engine.SelfCommand("worker", "airgap-nested", address) }
				return airgap.Try(os.Stdin, os.Stdout, nested, airgap.Seal)
			},
		},
		{
			Name: "airgap-nested", Usage: "try to get out, in a program that a fenced one starts", UsageText: "cloister worker airgap-nested ADDRESS",
			Action: func(c *cli.Context) error {
				_, err := fmt.Fprint(c.App.Writer, airgap.Nested(c.Args().First()))
				return err
			},
		},
	}
}
