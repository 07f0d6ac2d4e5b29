package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/store"
)

func jobCommand() *cli.Command {
	return &cli.Command{
		Name:  "job",
		Usage: "fine-tuning jobs: list, show, resume, cancel",
		Description: `A job survives everything: after Ctrl-C, a crash or a power cut it goes on from
its last checkpoint, when an appliance is started again or by 'job resume'.`,
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the jobs, the newest first", UsageText: "cloister job list [--limit N]",
				Description: "Examples:\n  cloister job list",
				Flags:       []cli.Flag{&cli.IntFlag{Name: "limit", Usage: "at most `N`", Value: 20}},
				Action:      jobList,
			},
			{
				Name: "show", Usage: "show a job", UsageText: "cloister job show JOB",
				Description: "Examples:\n  cloister job show ftjob-Xq3…\n  cloister job show ftjob-Xq3… --json",
				Action:      jobShow,
			},
			{
				Name: "resume", Usage: "go on with a job that was interrupted, or follow one that runs", UsageText: "cloister job resume JOB",
				Description: `Shows the same progress as 'tune'. If no appliance runs, the job goes on inside
this command.

Examples:
  cloister job resume ftjob-Xq3…
  cloister job resume ftjob-Xq3… --device cpu`,
				Flags:  []cli.Flag{trainDeviceFlag("device")},
				Action: jobResume,
			},
			{
				Name: "cancel", Usage: "stop a job for good", UsageText: "cloister job cancel JOB",
				Description: "Examples:\n  cloister job cancel ftjob-Xq3…",
				Action:      jobCancel,
			},
		},
	}
}

func jobList(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	limit, err := positive(c, "limit")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		jobs, err := s.Jobs(c.Context, limit)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, jobs)
		}
		var rows [][]string
		for _, j := range jobs {
			rows = append(rows, []string{j.ID, string(j.Status), clock(j.CreatedAt), trainedOn(j), j.Base, j.Adapter})
		}
		return table(c.App.Writer, "There are no jobs. Start one: cloister tune --model MODEL --data DATASET", []string{"job", "status", "created", "data", "base", "model"}, rows)
	})
}

func trainedOn(j store.Job) string {
	if j.Dataset == "" {
		return j.TrainingFile
	}
	return fmt.Sprintf("%s@%d", j.Dataset, j.Version)
}

func jobShow(c *cli.Context) error {
	args, err := arguments(c, 1, "JOB")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		j, err := s.Job(c.Context, args[0])
		if err != nil {
			return notFound(err, s.cloister("job list"))
		}
		if c.Bool("json") {
			return printJSON(c, j)
		}
		pairs := []string{"job", j.ID, "status", string(j.Status), "data", trainedOn(j), "base", j.Base, "created", clock(j.CreatedAt)}
		if j.StartedAt != nil {
			pairs = append(pairs, "started", clock(*j.StartedAt))
		}
		if j.FinishedAt != nil {
			pairs = append(pairs, "finished", clock(*j.FinishedAt))
		}
		if j.Adapter != "" {
			pairs = append(pairs, "model", j.Adapter)
		}
		if j.TrainedTokens > 0 {
			pairs = append(pairs, "tokens", fmt.Sprint(j.TrainedTokens))
		}
		if j.Error != nil {
			pairs = append(pairs, "error", j.Error.Message)
		}
		if len(j.Resolved) > 0 {
			pairs = append(pairs, "settings", strings.TrimSpace(string(j.Resolved)))
		}
		if err := facts(c.App.Writer, pairs...); err != nil || j.Status.Terminal() {
			return err
		}
		return next(c, s.cloister("job resume %s", j.ID))
	})
}

func jobResume(c *cli.Context) error {
	args, err := arguments(c, 1, "JOB")
	if err != nil {
		return err
	}
	return withWorkingAppliance(c, func(s *session) error {
		j, err := s.Job(c.Context, args[0])
		if err != nil {
			return notFound(err, s.cloister("job list"))
		}
		return follow(c, s, j)
	})
}

func jobCancel(c *cli.Context) error {
	args, err := arguments(c, 1, "JOB")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		j, err := s.CancelJob(c.Context, args[0])
		if err != nil {
			return notFound(err, s.cloister("job list"))
		}
		if c.Bool("json") {
			return printJSON(c, j)
		}
		_, err = fmt.Fprintf(c.App.Writer, "Job %s is %s.\n", j.ID, j.Status)
		return err
	})
}
