package main

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/lora/train"
)

// planMemory is 'cloister estimate --plan'.
func planMemory(c *cli.Context, memory int64) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	for _, flag := range []string{"model", "data"} {
		if c.IsSet(flag) {
			return misused(c, "--plan takes the model from its file; leave --%s out", flag)
		}
	}
	h, err := hyperparameters(c)
	if err != nil {
		return err
	}
	cfg := train.PlanConfig{BasePath: c.String("plan"), MaxLength: h.MaxLength, Rank: h.Rank, Targets: h.Targets, Free: memory}
	cfg.Device, cfg.Offload = c.String("device"), c.Bool("offload-activations")
	if cfg.DeviceMemory, err = sizeFlag(c, "device-memory"); err != nil {
		return err
	}
	if cfg.Device == "" && cfg.DeviceMemory == 0 {
		cfg.Device = train.AnyDevice
	}
	if err := train.CheckDevice(cfg.Device); err != nil {
		return misused(c, "--device: %v", err)
	}
	if cfg.Threads, err = positive(c, "threads"); err != nil {
		return err
	}
	m, err := train.PlanMemory(c.Context, cfg)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, m)
	}
	fmt.Fprintf(c.App.Writer, "Training on %s, rank %d, rows of %d tokens:\n", c.String("plan"), m.Rank, m.RowTokens)
	return printMemory(c.App.Writer, &m)
}

// printMemory prints the plan by part, whether it fits, and what would.
func printMemory(w io.Writer, m *train.Memory) error {
	title := "\nMemory:"
	if m.CardTotal > 0 {
		fmt.Fprintf(w, "\nMemory of the card (%s):\n", m.Device)
		if err := printParts(w, m, true, m.CardTotal, m.CardFree); err != nil {
			return err
		}
		title = "\nMemory of the machine:"
	}
	fmt.Fprintln(w, title)
	if err := printParts(w, m, false, m.Total, m.Free); err != nil {
		return err
	}
	for i, p := range m.Proposals {
		head := "What would fit: "
		if i > 0 {
			head = "            or: "
		}
		fmt.Fprintln(w, head+p.Text)
	}
	return nil
}

// printParts prints what is in the memory of the card, or of the machine.
func printParts(w io.Writer, m *train.Memory, card bool, total, free int64) error {
	var rows [][]string
	for _, p := range m.Parts() {
		if p.Card == card {
			rows = append(rows, []string{"  " + p.Name, byteSize(p.Bytes), p.What})
		}
	}
	rows = append(rows, []string{"  all together", byteSize(total), fits(m, total, free)})
	return table(w, "", []string{"  part", "size", "what"}, rows)
}

func fits(m *train.Memory, total, free int64) string {
	switch {
	case free == 0:
		return "how much is free is not known"
	case total <= free:
		return fmt.Sprintf("it fits: %s are free", byteSize(free))
	case len(m.Proposals) == 0:
		return fmt.Sprintf("it does not fit: %s are free, and no setting makes it fit", byteSize(free))
	}
	return fmt.Sprintf("it does not fit: %s are free", byteSize(free))
}

var sizePattern = regexp.MustCompile(`(?i)^(\d+(?:\.\d+)?) ?(?:([kmgt])(i?))?b?$`)

// sizeFlag reads a number of bytes such as "24GB", "500 MB" or "16GiB"; 0 if it is not given.
func sizeFlag(c *cli.Context, flag string) (int64, error) {
	if !c.IsSet(flag) {
		return 0, nil
	}
	n := 0.0
	if part := sizePattern.FindStringSubmatch(c.String(flag)); part != nil {
		unit := 1000.0
		if part[3] != "" {
			unit = 1024
		}
		n, _ = strconv.ParseFloat(part[1], 64)
		n *= math.Pow(unit, float64(strings.Index(" kmgt", strings.ToLower(part[2]))))
	}
	if !(n >= 1 && n <= 1<<60) {
		return 0, misused(c, "--%s is %q; a size such as 24GB, 500MB or 16GiB is needed", flag, c.String(flag))
	}
	return int64(n), nil
}
