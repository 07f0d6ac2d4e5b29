package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/models"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show the appliance: models loaded, jobs, releases",
		UsageText: "cloister status",
		Description: `Says whether an appliance serves this data directory, where it listens, which
models it has loaded and where they lie, on the processor or on a card, which jobs it runs and which model answers under which
alias.

Examples:
  cloister status
  cloister status --json`,
		Action: status,
	}
}

func status(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		st, err := s.Status(c.Context)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, st)
		}
		w := c.App.Writer
		switch {
		case s.own != nil:
			fmt.Fprintf(w, "No appliance serves %s.\n", st.Home)
		case st.Listen == "":
			fmt.Fprintf(w, "A command (process %d) works on %s since %s.\n", st.PID, st.Home, clock(st.StartedAt))
		default:
			fmt.Fprintf(w, "The appliance (process %d) serves %s on http://%s since %s.\n", st.PID, st.Home, st.Listen, clock(st.StartedAt))
		}
		if err := showModels(w, st.Models); err != nil {
			return err
		}
		for _, id := range st.Running {
			fmt.Fprintf(w, "Job %s has not ended. Follow it: %s\n", id, s.cloister("job resume %s", id))
		}
		fmt.Fprintln(w)
		var rows [][]string
		for _, r := range st.Releases {
			rows = append(rows, releaseRow(r))
		}
		return table(w, "Nothing is deployed.", []string{"alias", "release", "model", "since", "by"}, rows)
	})
}

// showModels prints where the models lie, and why one is not where it could be.
func showModels(w io.Writer, all []admin.ModelStatus) error {
	if len(all) == 0 {
		return nil
	}
	var rows [][]string
	for _, m := range all {
		rows = append(rows, modelRow(m))
	}
	fmt.Fprintln(w)
	if err := table(w, "", []string{"model", "state", "on", "layers there", "memory planned", "requests at a time"}, rows); err != nil {
		return err
	}
	for _, m := range all {
		e := m.Engine
		switch {
		case m.State == models.Asleep:
			fmt.Fprintf(w, "%s sleeps since %s, until job %s has trained.\n", m.Name, clock(m.Since), m.For)
		case e.OnProcessor != nil:
			fmt.Fprintf(w, "%s is on the processor since %s because: %s. The card is tried again at %s.\n", m.Name, clock(e.OnProcessor.Since), e.OnProcessor.Because, clock(e.OnProcessor.Retry))
		case m.For != "":
			fmt.Fprintf(w, "%s is on the processor since %s, until job %s has trained.\n", m.Name, clock(m.Since), m.For)
		case e.OnCard() && e.Reason != "":
			fmt.Fprintf(w, "%s is not on the card as a whole: %s.\n", m.Name, e.Reason)
		}
	}
	return nil
}

func modelRow(m admin.ModelStatus) []string {
	row := []string{m.Name, m.State, "", "", "", ""}
	e := m.Engine
	if m.State != models.Running || e.LayersTotal == 0 {
		return row
	}
	on, layers, planned := "processor", e.LayersTotal, byteSize(e.HostBytes)
	if e.OnCard() {
		on, layers, planned = strings.Join(e.Devices, ", "), e.Layers, byteSize(e.DeviceBytes)
		if e.Layers < e.LayersTotal {
			planned += ", " + byteSize(e.HostBytes) + " of the host's"
		}
	}
	row[2], row[3], row[4], row[5] = on, fmt.Sprintf("%d of %d", layers, e.LayersTotal), planned, strconv.Itoa(e.Slots)
	return row
}

func releaseRow(r admin.Release) []string {
	by := r.Current.By
	if r.Current.Forced {
		by += " (forced)"
	}
	return []string{r.Alias.Name, strconv.Itoa(r.Current.Number), r.Current.Model, clock(r.Current.CreatedAt), by}
}

// showRelease prints an alias with its releases.
func showRelease(c *cli.Context, r admin.Release) error {
	if c.Bool("json") {
		return printJSON(c, r)
	}
	var rows [][]string
	for _, h := range r.History {
		mark := ""
		if h.Number == r.Alias.Current {
			mark = "answers now"
		}
		rows = append(rows, []string{strconv.Itoa(h.Number), h.Model, clock(h.CreatedAt), h.By, strconv.FormatBool(h.Forced), mark})
	}
	fmt.Fprintf(c.App.Writer, "%s is an alias of %s.\n\n", r.Alias.Name, r.Current.Model)
	return table(c.App.Writer, "It has no releases.", []string{"release", "model", "deployed", "by", "forced", ""}, rows)
}

// since reads a time as people write it: "7d", "12h", "2026-11-01". Nothing is
// the zero time.
func since(c *cli.Context, flag string) (time.Time, error) {
	s := c.String(flag)
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation("2006-01-02", s, time.Local); err == nil {
		return day, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 1e6 {
			return time.Now().AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	return time.Time{}, misused(c, "--%s is %q; write 7d, 12h or a date such as 2026-11-01", flag, s)
}
