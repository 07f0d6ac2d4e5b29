package main

import (
	"os"
	"os/exec"

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
	makeCardFiles(cardDriver, cardFile, cardHelper)
	if unfenced[c.Command.Name] == "" {
		_ = airgap.UnixOnly()
	}
	return nil
}

// Paths of makeCardFiles.
const (
	cardDriver = "/proc/driver/nvidia/version"
	cardFile   = "/dev/nvidia-uvm"
	cardHelper = "/usr/bin/nvidia-modprobe"
)

// makeCardFiles has NVIDIA's helper make the device files, where a driver is
// and nothing has used it since the machine started. CUDA would do so by
// itself; but the helper is setuid, and behind a fence nothing gains privileges.
func makeCardFiles(driver, file, helper string) {
	_, missing := os.Stat(file)
	if _, err := os.Stat(driver); err == nil && missing != nil {
		_ = exec.Command(helper, "-u", "-c", "0").Run() // without it, doctor says what is wrong with the cards
	}
}
