package main

import (
	"github.com/urfave/cli/v2"

	"cloister/appliance/airgap"
)

// unfenced are the commands that begin with the network open.
var unfenced = map[string]string{
	"serve":     "gives it up when it listens (appliance.Config.Seal)",
	"worker":    "is born behind the appliance's fence, or proves one",
	"install":   "calls commands of the system, which keep the journal of users over netlink",
	"uninstall": "calls commands of the system",
	"doctor":    "gives it up by itself, but for --airgap, which observes a fenced process from outside",
}

// fence takes the network away before a command begins: commands reach the
// appliance by its Unix socket, and nothing else. A kernel that has no fences
// is no reason not to work; 'cloister doctor' and the log of serve say so.
func fence(c *cli.Context) error {
	if err := airgap.CloseInherited(); err != nil {
		return err
	}
	if unfenced[c.Command.Name] == "" {
		_ = airgap.UnixOnly()
	}
	return nil
}
